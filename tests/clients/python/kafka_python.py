# SPDX-License-Identifier: Apache-2.0
#
# The driver on kafka-python, with its defaults: it finds the API versions
# itself and produces idempotently.  It uses a consumer group as a member alone.

from kafka import ConsumerRebalanceListener, KafkaAdminClient
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

import records
from records import Acks, Member, Reader, check


def create(opts):
    admin = KafkaAdminClient(bootstrap_servers=opts.bootstrap)
    admin.create_topics({t: {'num_partitions': opts.parts,
                             'replication_factor': 1} for t in opts.topics})
    check(set(opts.topics) <= set(admin.list_topics()),
          'a created topic is not listed')
    admin.close()


def delete(opts):
    admin = KafkaAdminClient(bootstrap_servers=opts.bootstrap)
    admin.delete_topics(opts.topics)
    check(not set(opts.topics) & set(admin.list_topics()),
          'a deleted topic is still listed')
    admin.close()


def send(opts, topic, codec, indices, progress=None):
    acks = Acks(opts, topic, progress)
    rec = opts.records
    sent = 0
    producer = KafkaProducer(
        bootstrap_servers=opts.bootstrap, linger_ms=5,
        compression_type=None if codec == 'none' else codec)
    for i in indices:
        future = producer.send(topic, partition=i % opts.parts,
                               timestamp_ms=rec.timestamp(i), key=rec.key(i),
                               value=rec.value(i), headers=rec.headers(i))
        future.add_callback(lambda md, i=i: acks.add(i, md.offset))
        future.add_errback(lambda e, i=i: acks.fail(i, repr(e)))
        sent += 1
        if acks.error:
            break
    producer.flush()
    producer.close()
    acks.finish(sent)
    return sent


def produce(opts):
    for topic, codec in zip(opts.topics, opts.codecs):
        send(opts, topic, codec, records.indices(opts))


def load(opts):
    records.load(opts, lambda *args: send(opts, *args))


def consumer(opts):
    return KafkaConsumer(bootstrap_servers=opts.bootstrap,
                         enable_auto_commit=False, auto_offset_reset=None)


def assign(opts, cons, topic):
    tps = [TopicPartition(topic, p) for p in range(opts.parts)]
    cons.assign(tps)
    cons.seek_to_beginning(*tps)
    return tps


def read(cons, reader):
    while not reader.done():
        for batch in cons.poll(timeout_ms=200).values():
            for r in batch:
                reader.add(r.partition, r.offset, r.timestamp, r.key,
                           r.value, r.headers)


def verify(opts):
    cons = consumer(opts)
    for topic in opts.topics:
        check(cons.partitions_for_topic(topic) == set(range(opts.parts)),
              topic + ': wrong partitions')
        tps = assign(opts, cons, topic)
        reader = Reader(opts, topic, 0)
        starts = cons.beginning_offsets(tps)
        ends = cons.end_offsets(tps)
        for tp in tps:
            reader.check_range(tp.partition, starts[tp], ends[tp])
        read(cons, reader)

        reader = Reader(opts, topic, opts.start)
        ask = opts.records.timestamp(opts.start) - 1
        for tp, found in cons.offsets_for_times(
                {tp: ask for tp in tps}).items():
            check(found is not None, '%s: no offset for a time' % (tp,))
            reader.check_lookup(tp.partition, found.offset, found.timestamp)
            cons.seek(tp, found.offset)
        read(cons, reader)
        ask = opts.records.timestamp(opts.count + opts.parts)
        for tp, found in cons.offsets_for_times(
                {tp: ask for tp in tps}).items():
            check(found is None, '%s: an offset for a time after the end'
                  % (tp,))
    cons.close()


def follow(opts):
    cons = consumer(opts)
    assign(opts, cons, opts.topics[0])
    read(cons, Reader(opts, opts.topics[0], 0, opts.text('total')))
    cons.close()


class Listener(ConsumerRebalanceListener):
    def __init__(self, me):
        self.me = me

    def on_partitions_revoked(self, revoked):
        self.me.lost(tp.partition for tp in revoked)

    def on_partitions_assigned(self, assigned):
        self.me.gained(tp.partition for tp in assigned)


def member(opts):
    """A leader that learns of the topic's partitions after it has assigned them
    joins again; when poll() then ends within that, kafka-python 3.0.12 forgets
    its join and sends no heartbeat any more.  So they are known before, and no
    poll ends soon."""
    me = Member(opts)
    cons = KafkaConsumer(
        bootstrap_servers=opts.bootstrap, group_id=me.group,
        auto_offset_reset='earliest', auto_commit_interval_ms=200,
        heartbeat_interval_ms=300, session_timeout_ms=10000)
    cons.subscribe([me.topic], listener=Listener(me))
    check(cons.partitions_for_topic(me.topic), me.topic + ': no partitions')
    while not me.stopped:
        for batch in cons.poll(timeout_ms=1000).values():
            me.add(r.value for r in batch)
    cons.close()


records.main({'create': create, 'produce': produce, 'verify': verify,
              'load': load, 'follow': follow, 'delete': delete,
              'member': member})
