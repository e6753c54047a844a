// SPDX-License-Identifier: Apache-2.0
//
// The records of every client driver, in JavaScript: record i of a seed, as
// in Records.java.  Must never depend on time or on chance.

'use strict'

const POOL_SIZE = 262144
const NAMES = ['trace', 'trace', 'a', 'x-\u00e9']

function mix(x) {
	x ^= x >>> 16
	x = Math.imul(x, 0x7feb352d)
	x ^= x >>> 15
	x = Math.imul(x, 0x846ca68b)
	return (x ^ x >>> 16) >>> 0
}

// Half of the pool's 4 KiB blocks compress, half do not.
const pool = Buffer.alloc(POOL_SIZE)
for (let i = 0; i < POOL_SIZE; i++)
	pool[i] = i >> 12 & 1 ? mix(i) & 0xff : 97 + i % 23

class Records {
	constructor(seed, t0, lacks) {
		this.seed = seed
		this.t0 = t0
		this.nullHeaders = !lacks.includes('nullhdr')
		this.binaryHeaders = !lacks.includes('binhdr')
		this.nullBoth = !lacks.includes('nullboth')
	}

	// The draw numbered k of record i, below n.
	draw(i, k, n) {
		return mix(mix(this.seed + i | 0) + k | 0) % n
	}

	slice(i, k, size) {
		const at = this.draw(i, k, POOL_SIZE - size)
		return pool.subarray(at, at + size)
	}

	numbered(i, k, size) {
		const head = Buffer.alloc(4)
		head.writeUInt32BE(i)
		return Buffer.concat([head, this.slice(i, k, size)])
	}

	timestamp(i) {
		return this.t0 + 3 * i
	}

	key(i) {
		switch (this.draw(i, 1, 8)) {
		case 0:
			return null
		case 1:
			return Buffer.alloc(0)
		default:
			return this.numbered(i, 2, this.draw(i, 3, 40))
		}
	}

	value(i) {
		if (i % 2500 === 1777)
			return this.numbered(i, 6,
				100000 + this.draw(i, 5, 2000))
		if (i % 100 === 50)
			return this.numbered(i, 6, 8000 + this.draw(i, 5, 4000))
		switch (this.draw(i, 4, 16)) {
		case 0:
			if (this.nullBoth || this.key(i) !== null)
				return null
			return Buffer.alloc(0)
		case 1:
			return Buffer.alloc(0)
		default:
			return this.numbered(i, 6, this.draw(i, 5, 900))
		}
	}

	// The pool begins with text.
	headerBytes(i, k, size) {
		if (this.binaryHeaders)
			return this.slice(i, k, size)
		const at = this.draw(i, k, 4000)
		return pool.subarray(at, at + size)
	}

	// The library's shape: a name that comes twice has a list of values.
	headers(i) {
		const out = {}
		const n = this.draw(i, 7, 5)
		for (let j = 0; j < n; j++) {
			const kind = this.draw(i, 8 + j, 4)
			let v = Buffer.alloc(0)
			if (kind === 0 && this.nullHeaders)
				v = null
			else if (kind > 1)
				v = this.headerBytes(i, 12 + j,
					this.draw(i, 16 + j, 50))
			const name = NAMES[j]
			out[name] = name in out ? [out[name], v] : v
		}
		return out
	}
}

module.exports = { Records }
