// SPDX-License-Identifier: Apache-2.0
//
// The records of every client driver, in Go: record i of a seed, as in
// Records.java.  Must never depend on time or on chance.

package suite

import (
	"encoding/binary"
	"strings"
	"time"
)

const poolSize = 262144

var (
	names = []string{"trace", "trace", "a", "x-\u00e9"}
	pool  = makePool()
)

// A Header of a record; a null value is nil.
type Header struct {
	Key   string
	Value []byte
}

// Records makes them.
type Records struct {
	seed        uint32
	t0          int64
	nullHeaders bool
	nullBoth    bool
}

func newRecords(seed uint32, t0 int64, lacks string) Records {
	return Records{seed, t0, !strings.Contains(lacks, "nullhdr"),
		!strings.Contains(lacks, "nullboth")}
}

func mix(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x7feb352d
	x ^= x >> 15
	x *= 0x846ca68b
	return x ^ x>>16
}

// Half of the pool's 4 KiB blocks compress, half do not.
func makePool() []byte {
	p := make([]byte, poolSize)
	for i := range p {
		if i>>12&1 != 0 {
			p[i] = byte(mix(uint32(i)))
		} else {
			p[i] = byte(97 + i%23)
		}
	}
	return p
}

// draw is the draw numbered k of record i, below n.
func (r Records) draw(i int, k, n uint32) uint32 {
	return mix(mix(r.seed+uint32(i))+k) % n
}

func (r Records) slice(i int, k, size uint32) []byte {
	at := r.draw(i, k, poolSize-size)
	return pool[at : at+size : at+size]
}

func (r Records) numbered(i int, k, size uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(i))
	return append(b, r.slice(i, k, size)...)
}

// Timestamp of record i.
func (r Records) Timestamp(i int) time.Time {
	return time.UnixMilli(r.t0 + 3*int64(i))
}

// Key of record i, nil for null.
func (r Records) Key(i int) []byte {
	switch r.draw(i, 1, 8) {
	case 0:
		return nil
	case 1:
		return []byte{}
	default:
		return r.numbered(i, 2, r.draw(i, 3, 40))
	}
}

// Value of record i, nil for null.
func (r Records) Value(i int) []byte {
	if i%2500 == 1777 {
		return r.numbered(i, 6, 100000+r.draw(i, 5, 2000))
	}
	if i%100 == 50 {
		return r.numbered(i, 6, 8000+r.draw(i, 5, 4000))
	}
	switch r.draw(i, 4, 16) {
	case 0:
		if r.nullBoth || r.Key(i) != nil {
			return nil
		}
		return []byte{}
	case 1:
		return []byte{}
	default:
		return r.numbered(i, 6, r.draw(i, 5, 900))
	}
}

// Headers of record i.
func (r Records) Headers(i int) []Header {
	var out []Header
	for j := uint32(0); j < r.draw(i, 7, 5); j++ {
		var v []byte
		switch kind := r.draw(i, 8+j, 4); {
		case kind == 0 && r.nullHeaders:
		case kind <= 1:
			v = []byte{}
		default:
			v = r.slice(i, 12+j, r.draw(i, 16+j, 50))
		}
		out = append(out, Header{
			Key: names[j], Value: v})
	}
	return out
}
