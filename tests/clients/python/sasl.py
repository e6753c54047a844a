# SPDX-License-Identifier: Apache-2.0
#
# Both Python clients with SASL PLAIN: what one wrote is read by the other, and
# a wrong password is told apart from a broker that is away.

import sys

import confluent_kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

BOOTSTRAP = sys.argv[1]
PASSWORD = 'wonderland-canary'


def python_options(password):
    return {'bootstrap_servers': BOOTSTRAP,
            'security_protocol': 'SASL_PLAINTEXT', 'sasl_mechanism': 'PLAIN',
            'sasl_plain_username': 'alice', 'sasl_plain_password': password}


def confluent_options(password, **more):
    return dict({'bootstrap.servers': BOOTSTRAP,
                 'security.protocol': 'sasl_plaintext',
                 'sasl.mechanisms': 'PLAIN', 'sasl.username': 'alice',
                 'sasl.password': password}, **more)


values = [b'%d' % i for i in range(1000)]
producer = KafkaProducer(**python_options(PASSWORD))
for v in values:
    producer.send('sasl-python', v, partition=0)
producer.flush()
producer.close()

consumer = confluent_kafka.Consumer(confluent_options(
    PASSWORD, **{'group.id': 'sasl', 'auto.offset.reset': 'earliest'}))
consumer.subscribe(['sasl-python'])
got = []
while len(got) < len(values):
    m = consumer.poll(60)
    assert m is not None, 'only %d records' % len(got)
    assert m.error() is None, m.error()
    got.append(m.value())
assert got == values, 'records differ'
consumer.close()

reader = KafkaConsumer(**python_options(PASSWORD))
p = TopicPartition('sasl-python', 0)
reader.assign([p])
reader.seek(p, 0)
got = []
while len(got) < len(values):
    for records in reader.poll(1000).values():
        got += [r.value for r in records]
assert got == values, 'records differ'
reader.close()

try:
    producer = KafkaProducer(**python_options('wrong'), max_block_ms=5000)
    producer.send('sasl-python', b'x', partition=0).get(timeout=30)
    raise SystemExit('kafka-python: a wrong password passes')
except KafkaError:
    pass

errors = []
admin = confluent_kafka.Consumer(confluent_options(
    'wrong', **{'group.id': 'x', 'error_cb': errors.append}))
admin.subscribe(['sasl-python'])
while not any(e.code() == confluent_kafka.KafkaError._AUTHENTICATION
              for e in errors):
    admin.poll(0.1)
admin.close()
print('ok')
