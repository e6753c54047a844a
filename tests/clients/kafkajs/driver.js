// SPDX-License-Identifier: Apache-2.0
//
// The driver on kafkajs: create, produce, verify, load, delete and member, as
// tests/clients/suite.sh and group.sh describe.  The library consumes in groups
// alone, so verify looks up offsets with its admin and fetches with its own
// request and decoder below the consumer; another driver follows.

'use strict'

const fs = require('fs')
const util = require('util')
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } =
	require('kafkajs')
const Cluster = require('kafkajs/src/cluster')
const SnappyCodec = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')
const { before, check, codecs, count, exact, from, main, opt, parts,
	records, topics } = require('../driver')

function codecOf(compress, decompress) {
	return () => ({
		compress: async encoder => Buffer.from(compress(encoder.buffer)),
		decompress: async buffer => Buffer.from(decompress(buffer))
	})
}

async function installCodecs() {
	const zstd = await new Promise(resolve => ZstdCodec.run(resolve))
	const simple = new zstd.Simple()
	const streaming = new zstd.Streaming()	// frames may lack a size

	CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec
	CompressionCodecs[CompressionTypes.LZ4] =
		codecOf(lz4.compressFrameSync, lz4.decompressFrameSync)
	CompressionCodecs[CompressionTypes.ZSTD] =
		codecOf(b => simple.compress(b), b => streaming.decompress(b))
}

const compression = {
	none: CompressionTypes.None, gzip: CompressionTypes.GZIP,
	snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4,
	zstd: CompressionTypes.ZSTD
}

const kafka = new Kafka({
	brokers: [opt('bootstrap')], logLevel: logLevel.NOTHING,
	retry: { retries: 200, maxRetryTime: 1000 }
})

async function withAdmin(work) {
	const admin = kafka.admin()
	await admin.connect()
	await work(admin)
	await admin.disconnect()
}

function create() {
	return withAdmin(async admin => {
		await admin.createTopics({
			waitForLeaders: true,
			topics: topics.map(topic => ({
				topic, numPartitions: parts,
				replicationFactor: 1
			}))
		})
		const all = await admin.listTopics()
		for (const t of topics)
			check(all.includes(t), '%s is not listed', t)
	})
}

function remove() {
	return withAdmin(async admin => {
		await admin.deleteTopics({ topics })
		const all = await admin.listTopics()
		for (const t of topics)
			check(!all.includes(t), '%s is still listed', t)
	})
}

function message(i) {
	return {
		partition: i % parts, key: records.key(i),
		value: records.value(i), headers: records.headers(i),
		timestamp: String(records.timestamp(i))
	}
}

// Sends all records, or until the file exists, some at a time, and waits for
// the acks of each lot.  Its producer is idempotent when asked to be exact.
async function send(topic, codec, until, acked) {
	const producer = kafka.producer(exact ?
		{ idempotent: true, maxInFlightRequests: 1 } : {})
	await producer.connect()
	let i = 0
	while (i < count && !(until && fs.existsSync(until))) {
		const messages = []
		for (let n = 0; n < 250 && i < count; n++)
			messages.push(message(i++))
		const first = i - messages.length
		const answers = await producer.send({
			topic, messages, acks: -1,
			compression: compression[codec]
		})
		for (const a of answers) {
			const want = before(first, a.partition)
			check(a.errorCode === 0, '%s: error %d', topic,
				a.errorCode)
			check(!exact || Number(a.baseOffset) === want,
				'%s/%d: records from %d acked at offset %s, ' +
				'not %d', topic, a.partition, first,
				a.baseOffset, want)
		}
		acked(i)
		if (until)
			await new Promise(r => setTimeout(r, 50))
	}
	await producer.disconnect()
	return i
}

async function produce() {
	for (let t = 0; t < topics.length; t++)
		await send(topics[t], codecs[t], null, () => {})
}

async function load() {
	const n = await send(topics[0], codecs[0], opt('until'),
		i => fs.appendFileSync(opt('progress'), i + '\n'))
	fs.writeFileSync(opt('total') + '.tmp', n + '\n')
	fs.renameSync(opt('total') + '.tmp', opt('total'))
}

function same(a, b) {
	if (Array.isArray(a) || Array.isArray(b))
		return Array.isArray(a) && Array.isArray(b) &&
			a.length === b.length && a.every((x, i) => same(x, b[i]))
	return a === null || b === null ? a === b : Buffer.compare(a, b) === 0
}

function compare(topic, p, m, seen, start) {
	const i = (Number(m.timestamp) - records.t0) / 3
	const at = util.format('%s/%d/%s record %d', topic, p, m.offset, i)
	const want = message(i)

	check(Number.isInteger(i) && i >= 0 && i < count && i % parts === p,
		'%s: timestamp %s', at, m.timestamp)
	check(same(m.key, want.key), '%s: other key', at)
	check(same(m.value, want.value), '%s: other value', at)
	const names = Object.keys(want.headers)
	check(Object.keys(m.headers).join() === names.join() &&
		names.every(n => same(m.headers[n], want.headers[n])),
		'%s: other headers %o', at, m.headers)
	check(!exact || Number(m.offset) === before(i, p) && i >= start,
		'%s: lost, doubled or out of order', at)
	seen.add(i)
}

// Reads every partition from these offsets to the end, all in one request.
async function read(broker, topic, offsets, ends, start) {
	const seen = new Set()
	const at = offsets.map(Number)

	while (at.some((o, p) => o < ends[p])) {
		const answer = await broker.fetch({
			replicaId: -1, isolationLevel: 0, maxWaitTime: 500,
			topics: [{
				topic, partitions: at.map((o, p) => ({
					partition: p, fetchOffset: String(o),
					maxBytes: 1048576
				}))
			}]
		})
		for (const part of answer.responses[0].partitions) {
			const p = part.partition
			for (const m of part.messages) {
				if (Number(m.offset) < at[p])
					continue
				compare(topic, p, m, seen, start)
				at[p] = Number(m.offset) + 1
			}
		}
	}
	for (let i = start; i < count; i++)
		check(seen.has(i), '%s: record %d is missing', topic, i)
}

// What lies below the library's consumer, which it does not export.
async function openCluster() {
	const connect = Cluster.prototype.connect
	let cluster
	Cluster.prototype.connect = function () {
		cluster = this
		return connect.call(this)
	}
	const admin = kafka.admin()
	await admin.connect()
	Cluster.prototype.connect = connect
	await cluster.addMultipleTargetTopics(topics)
	return { admin, cluster }
}

async function verify() {
	const { admin, cluster } = await openCluster()

	for (const topic of topics) {
		const leaders = cluster.findLeaderForPartitions(topic,
			[...Array(parts).keys()])
		const nodes = Object.keys(leaders)
		check(nodes.length === 1 && leaders[nodes[0]].length === parts,
			'%s: leaders %o', topic, leaders)
		const broker = await cluster.findBroker({ nodeId: nodes[0] })

		const ends = []
		for (const o of await admin.fetchTopicOffsets(topic)) {
			const want = before(count, o.partition)
			check(Number(o.low) === 0 && Number(o.high) >= want &&
				(!exact || Number(o.high) === want),
				'%s: offsets %o', topic, o)
			ends[o.partition] = Number(o.high)
		}
		check(ends.length === parts, '%s: ends %o', topic, ends)
		await read(broker, topic, ends.map(() => 0), ends, 0)

		const found = []
		for (const o of await admin.fetchTopicOffsetsByTimestamp(topic,
			records.timestamp(from) - 1)) {
			check(!exact ||
				Number(o.offset) === before(from, o.partition),
				'%s: record %d looked up by time gives %o',
				topic, from, o)
			found[o.partition] = o.offset
		}
		await read(broker, topic, found, ends, from)
		// The library answers the end where no record is so late.
		for (const o of await admin.fetchTopicOffsetsByTimestamp(topic,
			records.timestamp(count + parts)))
			check(Number(o.offset) === ends[o.partition],
				'%s: a time after the end gives %o', topic, o)
	}
	await admin.disconnect()
}

async function member() {
	const consumer = kafka.consumer({
		groupId: opt('group'), sessionTimeout: 10000,
		heartbeatInterval: 300, maxWaitTimeInMs: 100,
		retry: { retries: 200, maxRetryTime: 1000 }
	})
	const stopped = new Promise(resolve => process.on('SIGTERM', resolve))
	consumer.on(consumer.events.GROUP_JOIN, e => {
		const held = e.payload.memberAssignment[opt('topic')] || []
		fs.appendFileSync(opt('log'), 'assigned ' + held.length + '\n')
	})
	await consumer.connect()
	await consumer.subscribe({ topics: [opt('topic')],
		fromBeginning: true })
	await consumer.run({ eachBatch: async ({ batch }) => {
		fs.appendFileSync(opt('out'),
			batch.messages.map(m => m.value + '\n').join(''))
	} })
	await stopped
	await consumer.disconnect()
}

const commands = { create, produce, verify, load, delete: remove, member }

installCodecs().then(() => main('kafkajs', commands))
