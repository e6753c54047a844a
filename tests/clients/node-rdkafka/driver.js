// SPDX-License-Identifier: Apache-2.0
//
// The driver on node-rdkafka, idempotent: create, produce, load, delete and
// member, as tests/clients/suite.sh and group.sh describe.  What it writes is
// verified by the driver on the library below it.

'use strict'

const fs = require('fs')
const util = require('util')
const kafka = require('node-rdkafka')
const { before, check, codecs, count, exact, main, opt, parts,
	records, topics } = require('../driver')

const WAIT = 60000
const config = { 'metadata.broker.list': opt('bootstrap'), log_level: 2 }

function sleep(ms) {
	return new Promise(resolve => setTimeout(resolve, ms))
}

async function each(work) {
	const admin = kafka.AdminClient.create(config)
	for (const topic of topics)
		await new Promise((resolve, reject) => work(admin, topic,
			err => err ? reject(err) : resolve()))
	admin.disconnect()
}

function create() {
	return each((admin, topic, done) => admin.createTopic({
		topic, num_partitions: parts, replication_factor: 1
	}, WAIT, done))
}

function remove() {
	return each((admin, topic, done) =>
		admin.deleteTopic(topic, WAIT, done))
}

// The library takes a buffer without memory for null.
const empty = Buffer.alloc(1).subarray(0, 0)
function bytes(b) {
	return b !== null && b.length === 0 ? empty : b
}

// The library's shape: a list of objects of one name each.
function headers(i) {
	const out = []
	for (const [name, values] of Object.entries(records.headers(i)))
		for (const v of Array.isArray(values) ? values : [values])
			out.push({ [name]: v })
	return out
}

async function connected(client) {
	await new Promise((resolve, reject) => client.connect({},
		err => err ? reject(err) : resolve()))
	return client
}

// Sends all records, or until the file exists, and waits for all acks.
async function send(topic, codec, until, progress) {
	const producer = await connected(new kafka.Producer({
		...config, 'enable.idempotence': true, dr_cb: true,
		'compression.codec': codec, 'linger.ms': 5
	}))
	let acked = 0, failure = null
	producer.setPollInterval(20)
	producer.on('delivery-report', (err, report) => {
		const n = report.opaque
		const want = before(n, n % parts)
		if (err)
			failure ||= util.format('record %d: %s', n, err)
		else if (exact && report.offset >= 0 && report.offset !== want)
			failure ||= util.format('record %d acked at offset ' +
				'%d, not %d', n, report.offset, want)
		acked++
		if (progress && acked % 500 === 0)
			fs.appendFileSync(progress, acked + '\n')
	})
	let i = 0
	for (; i < count && !failure; i++) {
		if (i % 100 === 0) {
			if (until && fs.existsSync(until))
				break
			await sleep(until ? 25 : 0)
		}
		for (;;) {
			try {
				producer.produce(topic, i % parts,
					bytes(records.value(i)),
					bytes(records.key(i)),
					records.timestamp(i), i, headers(i))
				break
			} catch (err) {
				if (err.code !== kafka.CODES.ERRORS.
					ERR__QUEUE_FULL)
					throw err
				await sleep(50)
			}
		}
	}
	const end = Date.now() + WAIT
	while (acked < i && !failure && Date.now() < end)
		await sleep(20)
	check(!failure, '%s: %s', topic, failure)
	check(acked === i, '%s: %d acks for %d records', topic, acked, i)
	await new Promise(resolve => producer.disconnect(resolve))
	return i
}

async function produce() {
	for (let t = 0; t < topics.length; t++)
		await send(topics[t], codecs[t])
}

async function load() {
	const n = await send(topics[0], codecs[0], opt('until'),
		opt('progress'))
	fs.writeFileSync(opt('total') + '.tmp', n + '\n')
	fs.renameSync(opt('total') + '.tmp', opt('total'))
}

async function member() {
	const stopped = new Promise(resolve => process.on('SIGTERM', resolve))
	const consumer = new kafka.KafkaConsumer({
		...config, 'group.id': opt('group'),
		'heartbeat.interval.ms': 300, 'session.timeout.ms': 10000,
		'auto.commit.interval.ms': 200,
		rebalance_cb: (err, given) => {
			const gain = err.code ===
				kafka.CODES.ERRORS.ERR__ASSIGN_PARTITIONS
			if (gain)
				consumer.assign(given)
			else
				consumer.unassign()
			fs.appendFileSync(opt('log'), 'assigned ' +
				(gain ? given.length : 0) + '\n')
		}
	}, { 'auto.offset.reset': 'earliest' })
	consumer.on('data', m =>
		fs.appendFileSync(opt('out'), m.value + '\n'))
	await connected(consumer)
	consumer.subscribe([opt('topic')])
	consumer.consume()
	await stopped
	await new Promise(resolve => consumer.disconnect(resolve))
}

const commands = { create, produce, load, delete: remove, member }

main('node-rdkafka', commands)
