// SPDX-License-Identifier: Apache-2.0
//
// The driver on sarama: create, produce, verify, load, follow, delete and
// member, as tests/clients/suite.sh and group.sh describe.

package main

import (
	"context"
	"os"
	"time"

	. "chronik/tests/clients/suite"

	"github.com/IBM/sarama"
)

func admin() sarama.ClusterAdmin {
	a, err := sarama.NewClusterAdmin(Brokers(), sarama.NewConfig())
	Must(err, "admin")
	return a
}

func listed(a sarama.ClusterAdmin, want bool) {
	Listed(want, func() map[string]int {
		md, err := a.DescribeTopics(nil)
		Must(err, "metadata")
		there := map[string]int{}
		for _, t := range md {
			if t.Err == sarama.ErrNoError {
				there[t.Name] = len(t.Partitions)
			}
		}
		return there
	})
}

func create() {
	a := admin()
	for _, t := range Topics {
		Must(a.CreateTopic(t, &sarama.TopicDetail{
			NumPartitions: int32(Parts), ReplicationFactor: 1},
			false), t)
	}
	listed(a, true)
	Must(a.Close(), "close")
}

func remove() {
	a := admin()
	for _, t := range Topics {
		Must(a.DeleteTopic(t), t)
	}
	listed(a, false)
	Must(a.Close(), "close")
}

// In mode exact the producer is idempotent, otherwise it has the library's
// defaults but for acks.
func producer(codec string) sarama.AsyncProducer {
	c := sarama.NewConfig()
	Must(c.Producer.Compression.UnmarshalText([]byte(codec)), codec)
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Return.Successes = true
	c.Producer.Retry.Max = 1000
	c.Metadata.Retry.Max = 100
	if Exact {
		c.Producer.Idempotent = true
		c.Net.MaxOpenRequests = 1
	}
	p, err := sarama.NewAsyncProducer(Brokers(), c)
	Must(err, "producer")
	return p
}

func encode(b []byte) sarama.Encoder {
	if b == nil {
		return nil
	}
	return sarama.ByteEncoder(b)
}

func headers(i int) []sarama.RecordHeader {
	var out []sarama.RecordHeader
	for _, h := range Recs.Headers(i) {
		out = append(out, sarama.RecordHeader{Key: []byte(h.Key),
			Value: h.Value})
	}
	return out
}

// send sends records until all are sent or the file until exists, and waits
// for all acks.
func send(topic, codec, until string, progress *os.File) int {
	p := producer(codec)
	acks := Acker{Topic: topic, Progress: progress}
	done := make(chan bool)
	go func() {
		for e := range p.Errors() {
			Fail("%s record %v: %v", topic, e.Msg.Metadata, e.Err)
		}
	}()
	go func() {
		for m := range p.Successes() {
			acks.Add(m.Metadata.(int), m.Offset)
		}
		done <- true
	}()
	n := Each(until, func(i int) {
		p.Input() <- &sarama.ProducerMessage{
			Topic: topic, Partition: int32(i % Parts),
			Timestamp: Recs.Timestamp(i), Key: encode(Recs.Key(i)),
			Value: encode(Recs.Value(i)), Headers: headers(i),
			Metadata: i}
	})
	p.AsyncClose()
	<-done
	if acks.Acked != n {
		Fail("%s: %d acks for %d records", topic, acks.Acked, n)
	}
	return n
}

func produce() {
	for i, t := range Topics {
		send(t, Codecs[i], "", nil)
	}
}

func load() {
	Load(send)
}

func add(r *Reader, m *sarama.ConsumerMessage) {
	var hs []Header
	for _, h := range m.Headers {
		hs = append(hs, Header{Key: string(h.Key), Value: h.Value})
	}
	r.Add(int(m.Partition), m.Offset, m.Timestamp, m.Key, m.Value, hs)
}

// read reads the partitions from these offsets until the reader has all.
func read(r *Reader, client sarama.Client, offsets []int64) {
	c, err := sarama.NewConsumerFromClient(client)
	Must(err, "consumer")
	all := make(chan *sarama.ConsumerMessage, 256)
	var pcs []sarama.PartitionConsumer
	for p, o := range offsets {
		pc, err := c.ConsumePartition(r.Topic, int32(p), o)
		Must(err, "consume")
		pcs = append(pcs, pc)
		go func() {
			for m := range pc.Messages() {
				all <- m
			}
		}()
	}
	tick := time.NewTicker(200 * time.Millisecond)
	for !r.Done() {
		select {
		case m := <-all:
			add(r, m)
		case <-tick.C:
		}
	}
	for _, pc := range pcs {
		pc.AsyncClose()
	}
	Must(c.Close(), "close")
}

func client() sarama.Client {
	c := sarama.NewConfig()
	c.Consumer.MaxWaitTime = 100 * time.Millisecond
	cl, err := sarama.NewClient(Brokers(), c)
	Must(err, "client")
	return cl
}

func offset(cl sarama.Client, topic string, p int, when int64) int64 {
	o, err := cl.GetOffset(topic, int32(p), when)
	Must(err, "offset of "+topic)
	return o
}

func verify() {
	cl := client()
	for _, t := range Topics {
		starts := make([]int64, Parts)
		found := make([]int64, Parts)
		for p := range Parts {
			starts[p] = offset(cl, t, p, sarama.OffsetOldest)
			CheckRange(t, p, starts[p],
				offset(cl, t, p, sarama.OffsetNewest))
			found[p] = offset(cl, t, p,
				Recs.Timestamp(From).UnixMilli()-1)
			CheckLookup(t, p, found[p])
			late := Recs.Timestamp(Count + Parts).UnixMilli()
			if o := offset(cl, t, p, late); o != -1 {
				Fail("%s/%d: offset %d for a time after the "+
					"end", t, p, o)
			}
		}
		read(&Reader{Topic: t, End: Count}, cl, starts)
		read(&Reader{Topic: t, Start: From, End: Count}, cl, found)
	}
	Must(cl.Close(), "close")
}

func follow() {
	cl := client()
	read(&Reader{Topic: Topics[0], End: -1}, cl, make([]int64, Parts))
	Must(cl.Close(), "close")
}

// handler is called by the library for each generation of the group.
type handler struct {
	me *Member
}

func (h handler) Setup(s sarama.ConsumerGroupSession) error {
	h.me.Holds(len(s.Claims()[h.me.Topic]))
	return nil
}

func (h handler) Cleanup(sarama.ConsumerGroupSession) error {
	return nil
}

func (h handler) ConsumeClaim(s sarama.ConsumerGroupSession,
	claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		h.me.Add(m.Value)
		s.MarkMessage(m, "")
	}
	return nil
}

func member() {
	me := NewMember()
	c := sarama.NewConfig()
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Interval = 200 * time.Millisecond
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	c.Consumer.MaxWaitTime = 100 * time.Millisecond
	g, err := sarama.NewConsumerGroup(Brokers(), me.Group, c)
	Must(err, "group")
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-me.Stop
		cancel()
	}()
	for ctx.Err() == nil {
		// A broker that is away: the library wants to be called again.
		if g.Consume(ctx, []string{me.Topic}, handler{me}) != nil {
			time.Sleep(100 * time.Millisecond)
		}
	}
	Must(g.Close(), "close")
}

func main() {
	Main(map[string]func(){"create": create, "produce": produce,
		"verify": verify, "load": load, "follow": follow,
		"delete": remove, "member": member})
}
