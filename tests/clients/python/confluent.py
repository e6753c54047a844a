# SPDX-License-Identifier: Apache-2.0
#
# The driver on confluent-kafka, idempotent.  Its consumer has a group.id,
# because the library wants one, but never joins or commits, unless it is a
# member.

import confluent_kafka
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import records
from records import Acks, Member, Reader, check

WAIT = 60


def config(opts, **extra):
    conf = {'bootstrap.servers': opts.bootstrap, 'log_level': 2}
    conf.update((k.replace('_', '.'), v) for k, v in extra.items())
    return conf


def listed(admin):
    return admin.list_topics(timeout=WAIT).topics


def create(opts):
    admin = AdminClient(config(opts))
    made = admin.create_topics([NewTopic(t, opts.parts, 1)
                                for t in opts.topics])
    for future in made.values():
        future.result()
    topics = listed(admin)
    for t in opts.topics:
        check(t in topics and len(topics[t].partitions) == opts.parts,
              t + ' is not listed as created')


def delete(opts):
    admin = AdminClient(config(opts))
    for future in admin.delete_topics(opts.topics).values():
        future.result()
    check(not set(opts.topics) & set(listed(admin)),
          'a deleted topic is still listed')


def send(opts, topic, codec, indices, progress=None):
    acks = Acks(opts, topic, progress)
    rec = opts.records
    sent = 0
    producer = confluent_kafka.Producer(config(
        opts, compression_type=codec, enable_idempotence=True))

    def report(i):
        def done(err, msg):
            if err:
                acks.fail(i, str(err))
            else:
                acks.add(i, msg.offset())
        return done

    for i in indices:
        args = dict(partition=i % opts.parts, timestamp=rec.timestamp(i),
                    key=rec.key(i), value=rec.value(i),
                    headers=rec.headers(i), on_delivery=report(i))
        while True:
            try:
                producer.produce(topic, **args)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        sent += 1
        if acks.error:
            break
    check(producer.flush(WAIT) == 0, topic + ': not all acked in time')
    acks.finish(sent)
    return sent


def produce(opts):
    for topic, codec in zip(opts.topics, opts.codecs):
        send(opts, topic, codec, records.indices(opts))


def load(opts):
    records.load(opts, lambda *args: send(opts, *args))


def consumer(opts, **extra):
    return confluent_kafka.Consumer(config(
        opts, group_id='unused', enable_auto_commit=False,
        auto_offset_reset='error', **extra))


def read(cons, tps, reader):
    cons.assign(tps)
    passing = (confluent_kafka.KafkaError._TRANSPORT,
               confluent_kafka.KafkaError._ALL_BROKERS_DOWN)
    while not reader.done():
        for m in cons.consume(500, 0.2):
            if m.error() is None:
                reader.add(m.partition(), m.offset(), m.timestamp()[1],
                           m.key(), m.value(), m.headers())
            else:
                check(m.error().code() in passing, str(m.error()))


def at(opts, topic, offset):
    return [TopicPartition(topic, p, offset) for p in range(opts.parts)]


def verify(opts):
    # A reader of what is there already does not wait long for more.
    cons = consumer(opts, fetch_wait_max_ms=20)
    for topic in opts.topics:
        reader = Reader(opts, topic, 0)
        for tp in at(opts, topic, 0):
            reader.check_range(tp.partition,
                               *cons.get_watermark_offsets(tp, WAIT))
        read(cons, at(opts, topic, confluent_kafka.OFFSET_BEGINNING), reader)

        reader = Reader(opts, topic, opts.start)
        ask = opts.records.timestamp(opts.start) - 1
        tps = cons.offsets_for_times(at(opts, topic, ask), WAIT)
        for tp in tps:
            check(tp.error is None, str(tp.error))
            reader.check_lookup(tp.partition, tp.offset)
        read(cons, tps, reader)
        ask = opts.records.timestamp(opts.count + opts.parts)
        for tp in cons.offsets_for_times(at(opts, topic, ask), WAIT):
            check(tp.error is None and
                  tp.offset == confluent_kafka.OFFSET_END,
                  '%s: an offset for a time after the end' % (tp,))
    cons.close()


def follow(opts):
    cons = consumer(opts)
    read(cons, at(opts, opts.topics[0], 0),
         Reader(opts, opts.topics[0], 0, opts.text('total')))
    cons.close()


def member(opts):
    me = Member(opts)
    extra = {'group_protocol': opts.values.get('protocol', 'classic')}
    # With the consumer protocol these are the broker's to say.
    if extra['group_protocol'] == 'classic':
        extra.update(heartbeat_interval_ms=300, session_timeout_ms=10000,
                     partition_assignment_strategy=opts.values.get(
                         'assignor', 'range'))
    cons = confluent_kafka.Consumer(config(
        opts, group_id=me.group, auto_offset_reset='earliest',
        auto_commit_interval_ms=200, **extra))
    cons.subscribe(
        [me.topic],
        on_assign=lambda _, tps: me.gained(tp.partition for tp in tps),
        on_revoke=lambda _, tps: me.lost(tp.partition for tp in tps),
        on_lost=lambda _, tps: me.lost(tp.partition for tp in tps))
    while not me.stopped:
        me.add(m.value() for m in cons.consume(500, 0.1) if not m.error())
    cons.close()


records.main({'create': create, 'produce': produce, 'verify': verify,
              'load': load, 'follow': follow, 'delete': delete,
              'member': member})
