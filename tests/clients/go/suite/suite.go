// SPDX-License-Identifier: Apache-2.0
//
// What the Go drivers share: the command line, the comparison of what was read
// with the records, and what a member of a group reports.  Knows nothing of
// any client library.

// Package suite is the part of a driver that is the same for every library.
package suite

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The arguments, see suite.sh.
var (
	Parts  int
	Count  int
	From   int
	Exact  bool
	Codecs []string
	Topics []string
	Recs   Records

	opts    = map[string]string{}
	command string
)

// Fail ends the driver with a sentence.
func Fail(format string, args ...any) {
	fmt.Printf(filepath.Base(os.Args[0])+" "+command+": "+format+"\n",
		args...)
	os.Exit(1)
}

// Must fails on an error.
func Must(err error, what string) {
	if err != nil {
		Fail("%s: %v", what, err)
	}
}

// Opt is a text argument.
func Opt(name string) string {
	v, ok := opts[name]
	if !ok {
		Fail("option %s= is missing", name)
	}
	return v
}

func number(name string, def int64) int64 {
	if _, ok := opts[name]; !ok {
		return def
	}
	n, err := strconv.ParseInt(opts[name], 10, 64)
	Must(err, name)
	return n
}

// Main runs the command that the arguments name.
func Main(commands map[string]func()) {
	command = os.Args[1]
	for _, arg := range os.Args[2:] {
		k, v, _ := strings.Cut(arg, "=")
		opts[k] = v
	}
	Parts = int(number("parts", 3))
	Count = int(number("count", 10000))
	From = int(number("from", 0))
	Exact = opts["mode"] != "least"
	Recs = newRecords(uint32(number("seed", 1)), number("t0", 0),
		opts["lacks"])
	if opts["codecs"] != "" {
		Codecs = strings.Split(opts["codecs"], ",")
	}
	for _, c := range Codecs {
		Topics = append(Topics, Opt("topic")+"-"+c)
	}
	if commands[command] == nil {
		Fail("no such command")
	}
	commands[command]()
}

// Brokers are those to begin with.
func Brokers() []string {
	return []string{Opt("bootstrap")}
}

// Before is how many of the records 0..i-1 went to partition p.
func Before(i, p int) int64 {
	if i <= p {
		return 0
	}
	return int64((i - p + Parts - 1) / Parts)
}

// Listed waits until all topics are there, or none is: metadata may lag.
// there gives the number of partitions by topic.
func Listed(want bool, there func() map[string]int) {
	for range 100 {
		md := there()
		wrong := 0
		for _, t := range Topics {
			if (md[t] == Parts) != want {
				wrong++
			}
		}
		if wrong == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	Fail("the topics are listed: not %v", want)
}

// Each calls send with each record's number until all are sent or, paced, the
// file until exists, and gives how many there were.
func Each(until string, send func(i int)) int {
	i := 0
	for ; i < Count; i++ {
		if until != "" && i%100 == 0 {
			if _, err := os.Stat(until); err == nil {
				break
			}
			time.Sleep(25 * time.Millisecond)
		}
		send(i)
	}
	return i
}

// An Acker counts acks and checks the offsets that they name.
type Acker struct {
	Topic    string
	Progress *os.File
	Acked    int
}

// Add takes the ack of record i.
func (a *Acker) Add(i int, offset int64) {
	want := Before(i, i%Parts)
	if Exact && offset != want {
		Fail("%s record %d acked at offset %d, not %d", a.Topic, i,
			offset, want)
	}
	a.Acked++
	if a.Progress != nil && a.Acked%500 == 0 {
		fmt.Fprintln(a.Progress, a.Acked)
	}
}

// Load runs send(topic, codec, until, progress), which gives the number sent.
func Load(send func(topic, codec, until string, progress *os.File) int) {
	progress, err := os.OpenFile(Opt("progress"),
		os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o666)
	Must(err, "progress")
	n := send(Topics[0], Codecs[0], Opt("until"), progress)
	tmp := Opt("total") + ".tmp"
	Must(os.WriteFile(tmp, []byte(fmt.Sprintln(n)), 0o666), tmp)
	Must(os.Rename(tmp, Opt("total")), tmp)
}

// A Reader ticks off the records of one topic from index Start on, to End,
// which is -1 until the file total says it.
type Reader struct {
	Topic string
	Start int
	End   int
	seen  map[int]bool
	idle  time.Time
}

func same(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}

func sameHeaders(got, want []Header) bool {
	if len(got) != len(want) {
		return false
	}
	for j := range got {
		if got[j].Key != want[j].Key ||
			!same(got[j].Value, want[j].Value) {
			return false
		}
	}
	return true
}

// Add takes a record that was read.
func (r *Reader) Add(part int, offset int64, when time.Time, key,
	value []byte, headers []Header) {
	if r.seen == nil {
		r.seen = map[int]bool{}
	}
	r.idle = time.Now()
	i := int((when.UnixMilli() - Recs.t0) / 3)
	at := fmt.Sprintf("%s/%d/%d record %d", r.Topic, part, offset, i)
	if i < 0 || i >= Count || !when.Equal(Recs.Timestamp(i)) {
		Fail("%s: timestamp %v", at, when)
	}
	if i%Parts != part {
		Fail("%s: wrong partition", at)
	}
	if !same(key, Recs.Key(i)) {
		Fail("%s: key is %.40q, not %.40q", at, key, Recs.Key(i))
	}
	if !same(value, Recs.Value(i)) {
		Fail("%s: value is %.40q, not %.40q", at, value, Recs.Value(i))
	}
	if !sameHeaders(headers, Recs.Headers(i)) {
		Fail("%s: other headers", at)
	}
	if Exact && (offset != Before(i, part) || r.seen[i] || i < r.Start) {
		Fail("%s: lost, doubled or out of order", at)
	}
	if i >= r.Start {
		r.seen[i] = true
	}
}

// Done is true when all have been read; fails when nothing more comes.
func (r *Reader) Done() bool {
	if r.End < 0 {
		if b, err := os.ReadFile(Opt("total")); err == nil {
			r.End, err = strconv.Atoi(strings.TrimSpace(string(b)))
			Must(err, "total")
		}
	}
	if r.idle.IsZero() {
		r.idle = time.Now()
	}
	if r.End < 0 || len(r.seen) < r.End-r.Start {
		if time.Since(r.idle) > 2*time.Minute {
			Fail("%s: nothing more after %d records", r.Topic,
				len(r.seen))
		}
		return false
	}
	for i := r.Start; i < r.End; i++ {
		if !r.seen[i] {
			Fail("%s: record %d is missing", r.Topic, i)
		}
	}
	return true
}

// CheckRange compares a partition's first offset and its end.
func CheckRange(topic string, p int, first, end int64) {
	if first != 0 || end < Before(Count, p) ||
		Exact && end != Before(Count, p) {
		Fail("%s/%d: offsets %d to %d, not 0 to %d", topic, p, first,
			end, Before(Count, p))
	}
}

// CheckLookup compares the offset found by the time of record From.
func CheckLookup(topic string, p int, offset int64) {
	if Exact && offset != Before(From, p) {
		Fail("%s/%d: record %d looked up by time gives %d", topic, p,
			From, offset)
	}
}

// A Member of a group writes down what it reads and what it is given.
type Member struct {
	Topic, Group string
	Stop         chan os.Signal // SIGTERM
	out, log     *os.File
}

func appendTo(path string) *os.File {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o666)
	Must(err, path)
	return f
}

// NewMember begins.
func NewMember() *Member {
	m := &Member{Topic: Opt("topic"), Group: Opt("group"),
		Stop: make(chan os.Signal, 1), out: appendTo(Opt("out")),
		log: appendTo(Opt("log"))}
	signal.Notify(m.Stop, syscall.SIGTERM)
	return m
}

// Add takes a record's value.
func (m *Member) Add(value []byte) {
	_, err := fmt.Fprintf(m.out, "%s\n", value)
	Must(err, "out")
}

// Holds says how many partitions it has.
func (m *Member) Holds(n int) {
	fmt.Fprintln(m.log, "assigned", n)
}

// Protocol is the group protocol that was asked for, "" the default.
func (m *Member) Protocol() string {
	return opts["protocol"]
}
