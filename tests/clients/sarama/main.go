// SPDX-License-Identifier: Apache-2.0
//
// The driver on sarama: create, produce, verify, load, follow and delete, as
// tests/clients/suite.sh describes.  It reads partitions, never as a group.

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

var (
	opts    = map[string]string{}
	parts   int
	count   int
	from    int
	exact   bool
	codecs  []string
	topics  []string
	recs    records
	command string
)

func fail(format string, args ...any) {
	fmt.Printf("sarama "+command+": "+format+"\n", args...)
	os.Exit(1)
}

func must(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func opt(name string) string {
	v, ok := opts[name]
	if !ok {
		fail("option %s= is missing", name)
	}
	return v
}

func number(name string, def int64) int64 {
	if _, ok := opts[name]; !ok {
		return def
	}
	n, err := strconv.ParseInt(opts[name], 10, 64)
	must(err, name)
	return n
}

// before is how many of the records 0..i-1 went to partition p.
func before(i, p int) int64 {
	if i <= p {
		return 0
	}
	return int64((i - p + parts - 1) / parts)
}

func brokers() []string {
	return []string{opt("bootstrap")}
}

func admin() sarama.ClusterAdmin {
	a, err := sarama.NewClusterAdmin(brokers(), sarama.NewConfig())
	must(err, "admin")
	return a
}

// listed waits until all topics are listed, or none is: metadata may lag.
func listed(a sarama.ClusterAdmin, want bool) {
	for range 100 {
		md, err := a.DescribeTopics(nil)
		must(err, "metadata")
		there := map[string]bool{}
		for _, t := range md {
			there[t.Name] = t.Err == sarama.ErrNoError &&
				len(t.Partitions) == parts
		}
		wrong := 0
		for _, t := range topics {
			if there[t] != want {
				wrong++
			}
		}
		if wrong == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	fail("the topics are listed: not %v", want)
}

func create() {
	a := admin()
	for _, t := range topics {
		must(a.CreateTopic(t, &sarama.TopicDetail{
			NumPartitions: int32(parts), ReplicationFactor: 1},
			false), t)
	}
	listed(a, true)
	must(a.Close(), "close")
}

func remove() {
	a := admin()
	for _, t := range topics {
		must(a.DeleteTopic(t), t)
	}
	listed(a, false)
	must(a.Close(), "close")
}

// In mode exact the producer is idempotent, otherwise it has the library's
// defaults but for acks.
func producer(codec string) sarama.AsyncProducer {
	c := sarama.NewConfig()
	must(c.Producer.Compression.UnmarshalText([]byte(codec)), codec)
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Return.Successes = true
	c.Producer.Retry.Max = 1000
	c.Metadata.Retry.Max = 100
	if exact {
		c.Producer.Idempotent = true
		c.Net.MaxOpenRequests = 1
	}
	p, err := sarama.NewAsyncProducer(brokers(), c)
	must(err, "producer")
	return p
}

func encode(b []byte) sarama.Encoder {
	if b == nil {
		return nil
	}
	return sarama.ByteEncoder(b)
}

// send sends records until all are sent or the file until exists, and waits
// for all acks.
func send(topic, codec, until string, progress *os.File) int {
	p := producer(codec)
	acked := 0
	done := make(chan bool)
	go func() {
		for e := range p.Errors() {
			fail("%s record %v: %v", topic, e.Msg.Metadata, e.Err)
		}
	}()
	go func() {
		for m := range p.Successes() {
			i := m.Metadata.(int)
			want := before(i, i%parts)
			if exact && m.Offset != want {
				fail("%s record %d acked at offset %d, not %d",
					topic, i, m.Offset, want)
			}
			acked++
			if progress != nil && acked%500 == 0 {
				fmt.Fprintln(progress, acked)
			}
		}
		done <- true
	}()
	i := 0
	for ; i < count; i++ {
		if until != "" && i%100 == 0 {
			if _, err := os.Stat(until); err == nil {
				break
			}
			time.Sleep(25 * time.Millisecond)
		}
		p.Input() <- &sarama.ProducerMessage{
			Topic: topic, Partition: int32(i % parts),
			Timestamp: recs.timestamp(i), Key: encode(recs.key(i)),
			Value: encode(recs.value(i)), Headers: recs.headers(i),
			Metadata: i}
	}
	p.AsyncClose()
	<-done
	if acked != i {
		fail("%s: %d acks for %d records", topic, acked, i)
	}
	return i
}

func produce() {
	for i, t := range topics {
		send(t, codecs[i], "", nil)
	}
}

func load() {
	progress, err := os.OpenFile(opt("progress"),
		os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o666)
	must(err, "progress")
	n := send(topics[0], codecs[0], opt("until"), progress)
	tmp := opt("total") + ".tmp"
	must(os.WriteFile(tmp, []byte(fmt.Sprintln(n)), 0o666), tmp)
	must(os.Rename(tmp, opt("total")), tmp)
}

// A reader ticks off the records of one topic from index start on, to end,
// which is -1 until the file total says it.
type reader struct {
	topic string
	start int
	end   int
	seen  map[int]bool
}

func same(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}

func sameHeaders(got []*sarama.RecordHeader, want []sarama.RecordHeader) bool {
	if len(got) != len(want) {
		return false
	}
	for j := range got {
		if !bytes.Equal(got[j].Key, want[j].Key) ||
			!same(got[j].Value, want[j].Value) {
			return false
		}
	}
	return true
}

func (r *reader) add(m *sarama.ConsumerMessage) {
	i := int((m.Timestamp.UnixMilli() - recs.t0) / 3)
	at := fmt.Sprintf("%s/%d/%d record %d", m.Topic, m.Partition, m.Offset, i)
	if i < 0 || i >= count || !m.Timestamp.Equal(recs.timestamp(i)) {
		fail("%s: timestamp %v", at, m.Timestamp)
	}
	if i%parts != int(m.Partition) {
		fail("%s: wrong partition", at)
	}
	if !same(m.Key, recs.key(i)) {
		fail("%s: key is %.40q, not %.40q", at, m.Key, recs.key(i))
	}
	if !same(m.Value, recs.value(i)) {
		fail("%s: value is %.40q, not %.40q", at, m.Value,
			recs.value(i))
	}
	if !sameHeaders(m.Headers, recs.headers(i)) {
		fail("%s: other headers", at)
	}
	if exact && (m.Offset != before(i, int(m.Partition)) || r.seen[i] ||
		i < r.start) {
		fail("%s: lost, doubled or out of order", at)
	}
	if i >= r.start {
		r.seen[i] = true
	}
}

func (r *reader) done() bool {
	if r.end < 0 {
		if b, err := os.ReadFile(opt("total")); err == nil {
			r.end, err = strconv.Atoi(strings.TrimSpace(string(b)))
			must(err, "total")
		}
	}
	if r.end < 0 || len(r.seen) < r.end-r.start {
		return false
	}
	for i := r.start; i < r.end; i++ {
		if !r.seen[i] {
			fail("%s: record %d is missing", r.topic, i)
		}
	}
	return true
}

// read reads the partitions from these offsets until the reader has all.
func (r *reader) read(client sarama.Client, offsets []int64) {
	c, err := sarama.NewConsumerFromClient(client)
	must(err, "consumer")
	r.seen = map[int]bool{}
	all := make(chan *sarama.ConsumerMessage, 256)
	var pcs []sarama.PartitionConsumer
	for p, o := range offsets {
		pc, err := c.ConsumePartition(r.topic, int32(p), o)
		must(err, "consume")
		pcs = append(pcs, pc)
		go func() {
			for m := range pc.Messages() {
				all <- m
			}
		}()
	}
	idle := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	for !r.done() {
		select {
		case m := <-all:
			r.add(m)
			idle = time.Now()
		case <-tick.C:
			if time.Since(idle) > 2*time.Minute {
				fail("%s: nothing more after %d records",
					r.topic, len(r.seen))
			}
		}
	}
	for _, pc := range pcs {
		pc.AsyncClose()
	}
	must(c.Close(), "close")
}

func client() sarama.Client {
	c := sarama.NewConfig()
	c.Consumer.MaxWaitTime = 100 * time.Millisecond
	cl, err := sarama.NewClient(brokers(), c)
	must(err, "client")
	return cl
}

func offset(cl sarama.Client, topic string, p int, when int64) int64 {
	o, err := cl.GetOffset(topic, int32(p), when)
	must(err, "offset of "+topic)
	return o
}

func verify() {
	cl := client()
	for _, t := range topics {
		starts := make([]int64, parts)
		found := make([]int64, parts)
		for p := range parts {
			starts[p] = offset(cl, t, p, sarama.OffsetOldest)
			end := offset(cl, t, p, sarama.OffsetNewest)
			if starts[p] != 0 || end < before(count, p) ||
				exact && end != before(count, p) {
				fail("%s/%d: offsets %d to %d, not 0 to %d", t,
					p, starts[p], end, before(count, p))
			}
			found[p] = offset(cl, t, p,
				recs.timestamp(from).UnixMilli()-1)
			if exact && found[p] != before(from, p) {
				fail("%s/%d: record %d looked up by time "+
					"gives %d", t, p, from, found[p])
			}
			late := recs.timestamp(count + parts).UnixMilli()
			if o := offset(cl, t, p, late); o != -1 {
				fail("%s/%d: offset %d for a time after the "+
					"end", t, p, o)
			}
		}
		(&reader{topic: t, end: count}).read(cl, starts)
		(&reader{topic: t, start: from, end: count}).read(cl, found)
	}
	must(cl.Close(), "close")
}

func follow() {
	cl := client()
	(&reader{topic: topics[0], end: -1}).read(cl, make([]int64, parts))
	must(cl.Close(), "close")
}

func main() {
	commands := map[string]func(){"create": create, "produce": produce,
		"verify": verify, "load": load, "follow": follow,
		"delete": remove}
	command = os.Args[1]
	for _, arg := range os.Args[2:] {
		k, v, _ := strings.Cut(arg, "=")
		opts[k] = v
	}
	parts = int(number("parts", 3))
	count = int(number("count", 10000))
	from = int(number("from", 0))
	exact = opts["mode"] != "least"
	recs = newRecords(uint32(number("seed", 1)), number("t0", 0),
		opts["lacks"])
	codecs = strings.Split(opt("codecs"), ",")
	for _, c := range codecs {
		topics = append(topics, opt("topic")+"-"+c)
	}
	if commands[command] == nil {
		fail("no such command")
	}
	commands[command]()
}
