# SPDX-License-Identifier: Apache-2.0
#
# The driver on aiokafka, idempotent.  Its consumer uses a group as a member
# alone.

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

import records
from records import Acks, Member, Reader, check

# Requests on their way at a time; the library has no bound of its own.
IN_FLIGHT = 1000


async def admin(opts, work):
    client = AIOKafkaAdminClient(bootstrap_servers=opts.bootstrap)
    await client.start()
    await work(client)
    await client.close()


async def create(opts):
    async def work(client):
        answer = await client.create_topics(
            [NewTopic(t, opts.parts, 1) for t in opts.topics])
        for t in answer.topic_errors:
            check(t[1] == 0, 'create %s' % (t,))
        check(set(opts.topics) <= set(await client.list_topics()),
              'a created topic is not listed')
    await admin(opts, work)


async def delete(opts):
    async def work(client):
        answer = await client.delete_topics(opts.topics)
        for t in answer.topic_error_codes:
            check(t[1] == 0, 'delete %s' % (t,))
        check(not set(opts.topics) & set(await client.list_topics()),
              'a deleted topic is still listed')
    await admin(opts, work)


async def send(opts, topic, codec, indices, progress=None):
    acks = Acks(opts, topic, progress)
    rec = opts.records
    sent = 0
    pending = set()
    producer = AIOKafkaProducer(
        bootstrap_servers=opts.bootstrap, linger_ms=5,
        enable_idempotence=True,
        compression_type=None if codec == 'none' else codec)
    await producer.start()

    def done(i):
        def report(future):
            pending.discard(future)
            if future.exception():
                acks.fail(i, repr(future.exception()))
            else:
                acks.add(i, future.result().offset)
        return report

    for i in indices:
        future = await producer.send(
            topic, partition=i % opts.parts, timestamp_ms=rec.timestamp(i),
            key=rec.key(i), value=rec.value(i), headers=rec.headers(i))
        pending.add(future)
        future.add_done_callback(done(i))
        sent += 1
        if acks.error:
            break
        # Its sender is a task of this thread.
        if i % 100 == 99:
            await asyncio.sleep(0.001)
        if len(pending) >= IN_FLIGHT:
            await asyncio.wait(pending,
                               return_when=asyncio.FIRST_COMPLETED)
    await producer.flush()
    await producer.stop()
    acks.finish(sent)
    return sent


async def produce(opts):
    for topic, codec in zip(opts.topics, opts.codecs):
        await send(opts, topic, codec, records.indices(opts))


def load(opts):
    records.load(opts, lambda *args: asyncio.run(send(opts, *args)))


async def consumer(opts):
    cons = AIOKafkaConsumer(bootstrap_servers=opts.bootstrap,
                            enable_auto_commit=False,
                            auto_offset_reset='none',
                            fetch_max_wait_ms=20)
    await cons.start()
    return cons


async def read(cons, reader):
    while not reader.done():
        for batch in (await cons.getmany(timeout_ms=200)).values():
            for r in batch:
                reader.add(r.partition, r.offset, r.timestamp, r.key,
                           r.value, r.headers)


async def verify(opts):
    cons = await consumer(opts)
    for topic in opts.topics:
        tps = [TopicPartition(topic, p) for p in range(opts.parts)]
        cons.assign(tps)
        await cons.seek_to_beginning(*tps)
        reader = Reader(opts, topic, 0)
        starts = await cons.beginning_offsets(tps)
        ends = await cons.end_offsets(tps)
        for tp in tps:
            reader.check_range(tp.partition, starts[tp], ends[tp])
        await read(cons, reader)

        reader = Reader(opts, topic, opts.start)
        ask = opts.records.timestamp(opts.start) - 1
        for tp, found in (await cons.offsets_for_times(
                {tp: ask for tp in tps})).items():
            check(found is not None, '%s: no offset for a time' % (tp,))
            reader.check_lookup(tp.partition, found.offset, found.timestamp)
            cons.seek(tp, found.offset)
        await read(cons, reader)
        ask = opts.records.timestamp(opts.count + opts.parts)
        for tp, found in (await cons.offsets_for_times(
                {tp: ask for tp in tps})).items():
            check(found is None, '%s: an offset for a time after the end'
                  % (tp,))
    await cons.stop()


async def follow(opts):
    cons = await consumer(opts)
    tps = [TopicPartition(opts.topics[0], p) for p in range(opts.parts)]
    cons.assign(tps)
    await cons.seek_to_beginning(*tps)
    await read(cons, Reader(opts, opts.topics[0], 0, opts.text('total')))
    await cons.stop()


class Listener(ConsumerRebalanceListener):
    def __init__(self, me):
        self.me = me

    def on_partitions_revoked(self, revoked):
        self.me.lost(tp.partition for tp in revoked)

    def on_partitions_assigned(self, assigned):
        self.me.gained(tp.partition for tp in assigned)


async def member(opts):
    me = Member(opts)
    cons = AIOKafkaConsumer(
        bootstrap_servers=opts.bootstrap, group_id=me.group,
        auto_offset_reset='earliest', auto_commit_interval_ms=200,
        heartbeat_interval_ms=300, session_timeout_ms=10000)
    cons.subscribe([me.topic], listener=Listener(me))
    await cons.start()
    while not me.stopped:
        for batch in (await cons.getmany(timeout_ms=100)).values():
            me.add(r.value for r in batch)
    await cons.stop()


def run(coroutine):
    return lambda opts: asyncio.run(coroutine(opts))


records.main({'create': run(create), 'produce': run(produce),
              'verify': run(verify), 'load': load,
              'follow': run(follow), 'delete': run(delete),
              'member': run(member)})
