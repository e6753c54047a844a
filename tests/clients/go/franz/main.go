// SPDX-License-Identifier: Apache-2.0
//
// The driver on franz-go, with its defaults: idempotent, with fetch sessions.
// create, produce, verify, load, follow, delete and member, as
// tests/clients/suite.sh and group.sh describe.

package main

import (
	"context"
	"os"
	"sync"
	"time"

	. "chronik/tests/clients/suite"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var background = context.Background()

func client(more ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(Brokers()...),
		kgo.FetchMaxWait(100 * time.Millisecond)}, more...)...)
	Must(err, "client")
	return cl
}

func listed(a *kadm.Client, want bool) {
	Listed(want, func() map[string]int {
		md, err := a.ListTopics(background)
		Must(err, "metadata")
		there := map[string]int{}
		for _, t := range md {
			if t.Err == nil {
				there[t.Topic] = len(t.Partitions)
			}
		}
		return there
	})
}

func create() {
	a := kadm.NewClient(client())
	defer a.Close()
	rs, err := a.CreateTopics(background, int32(Parts), -1, nil, Topics...)
	Must(err, "create")
	Must(rs.Error(), "create")
	listed(a, true)
}

func remove() {
	a := kadm.NewClient(client())
	defer a.Close()
	rs, err := a.DeleteTopics(background, Topics...)
	Must(err, "delete")
	Must(rs.Error(), "delete")
	listed(a, false)
}

func codec(name string) kgo.CompressionCodec {
	return map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(),
		"zstd": kgo.ZstdCompression()}[name]
}

func headers(i int) []kgo.RecordHeader {
	var out []kgo.RecordHeader
	for _, h := range Recs.Headers(i) {
		out = append(out, kgo.RecordHeader(h))
	}
	return out
}

// send sends records until all are sent or the file until exists, and waits
// for all acks.
func send(topic, codecName, until string, progress *os.File) int {
	cl := client(kgo.ProducerBatchCompression(codec(codecName)),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5*time.Millisecond))
	defer cl.Close()
	acks := Acker{Topic: topic, Progress: progress}
	var lock sync.Mutex
	n := Each(until, func(i int) {
		cl.Produce(background, &kgo.Record{Topic: topic,
			Partition: int32(i % Parts),
			Timestamp: Recs.Timestamp(i), Key: Recs.Key(i),
			Value: Recs.Value(i), Headers: headers(i)},
			func(r *kgo.Record, err error) {
				if err != nil {
					Fail("%s record %d: %v", topic, i, err)
				}
				lock.Lock()
				acks.Add(i, r.Offset)
				lock.Unlock()
			})
	})
	Must(cl.Flush(background), "flush")
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

// poll gives what is there to add, and passes over errors of a broker that is
// away, which the library reports once and mends itself.
func poll(cl *kgo.Client, add func(*kgo.Record)) {
	ctx, cancel := context.WithTimeout(background, 200*time.Millisecond)
	defer cancel()
	cl.PollFetches(ctx).EachRecord(add)
}

// read reads the partitions from these offsets until the reader has all.
func read(r *Reader, offsets []int64) {
	from := map[int32]kgo.Offset{}
	for p, o := range offsets {
		from[int32(p)] = kgo.NewOffset().At(o)
	}
	cl := client(kgo.ConsumePartitions(
		map[string]map[int32]kgo.Offset{r.Topic: from}))
	defer cl.Close()
	for !r.Done() {
		poll(cl, func(k *kgo.Record) {
			var hs []Header
			for _, h := range k.Headers {
				hs = append(hs, Header(h))
			}
			r.Add(int(k.Partition), k.Offset, k.Timestamp, k.Key,
				k.Value, hs)
		})
	}
}

func offset(l kadm.ListedOffsets, err error, topic string, p int) int64 {
	Must(err, "offsets of "+topic)
	Must(l.Error(), "offsets of "+topic)
	o, ok := l.Lookup(topic, int32(p))
	if !ok {
		Fail("%s/%d: no offset", topic, p)
	}
	return o.Offset
}

func verify() {
	a := kadm.NewClient(client())
	defer a.Close()
	for _, t := range Topics {
		first, err1 := a.ListStartOffsets(background, t)
		end, err2 := a.ListEndOffsets(background, t)
		at, err3 := a.ListOffsetsAfterMilli(background,
			Recs.Timestamp(From).UnixMilli()-1, t)
		late, err4 := a.ListOffsetsAfterMilli(background,
			Recs.Timestamp(Count+Parts).UnixMilli(), t)
		starts := make([]int64, Parts)
		found := make([]int64, Parts)
		for p := range Parts {
			starts[p] = offset(first, err1, t, p)
			last := offset(end, err2, t, p)
			CheckRange(t, p, starts[p], last)
			found[p] = offset(at, err3, t, p)
			CheckLookup(t, p, found[p])
			// The library answers the end where no record is so
			// late.
			if o := offset(late, err4, t, p); o != last {
				Fail("%s/%d: offset %d for a time after the "+
					"end", t, p, o)
			}
		}
		read(&Reader{Topic: t, End: Count}, starts)
		read(&Reader{Topic: t, Start: From, End: Count}, found)
	}
}

func follow() {
	read(&Reader{Topic: Topics[0], End: -1}, make([]int64, Parts))
}

func member() {
	me := NewMember()
	held := map[int32]bool{}
	var lock sync.Mutex
	change := func(gain bool) func(context.Context, *kgo.Client,
		map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client,
			parts map[string][]int32) {
			lock.Lock()
			defer lock.Unlock()
			for _, p := range parts[me.Topic] {
				if gain {
					held[p] = true
				} else {
					delete(held, p)
				}
			}
			me.Holds(len(held))
		}
	}
	more := []kgo.Opt{kgo.ConsumerGroup(me.Group),
		kgo.ConsumeTopics(me.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(200 * time.Millisecond),
		kgo.HeartbeatInterval(300 * time.Millisecond),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(change(true)),
		kgo.OnPartitionsRevoked(change(false)),
		kgo.OnPartitionsLost(change(false))}
	if me.Protocol() == "consumer" {
		more = append(more, kgo.ServerSideBalancer(),
			kgo.Balancers(kgo.StickyBalancer()))
	}
	cl := client(more...)
	for len(me.Stop) == 0 {
		poll(cl, func(k *kgo.Record) {
			me.Add(k.Value)
			cl.MarkCommitRecords(k)
		})
		cl.AllowRebalance()
	}
	Must(cl.CommitMarkedOffsets(background), "commit")
	cl.CloseAllowingRebalance()
}

func main() {
	Main(map[string]func(){"create": create, "produce": produce,
		"verify": verify, "load": load, "follow": follow,
		"delete": remove, "member": member})
}
