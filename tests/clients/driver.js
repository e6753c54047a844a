// SPDX-License-Identifier: Apache-2.0
//
// What the drivers in JavaScript share: the command line, as
// tests/clients/suite.sh describes it, and the records that it asks for.

'use strict'

const util = require('util')
const { Records } = require('./records')

const command = process.argv[2]
const opts = new Map(process.argv.slice(3).map(arg => {
	const at = arg.indexOf('=')
	return [arg.slice(0, at), arg.slice(at + 1)]
}))

class Failure extends Error {}

function check(ok, ...what) {
	if (!ok)
		throw new Failure(util.format(...what))
}

function opt(name) {
	check(opts.has(name), 'option %s= is missing', name)
	return opts.get(name)
}

function number(name, def) {
	return opts.has(name) ? Number(opts.get(name)) : def
}

const parts = number('parts', 3)
const count = number('count', 10000)
const from = number('from', 0)
const exact = opts.get('mode') !== 'least'
const codecs = (opts.get('codecs') || '').split(',')
const topics = codecs.map(c => opt('topic') + '-' + c)
const records = new Records(number('seed', 1), number('t0', 0),
	opts.get('lacks') || '')

// How many of the records 0..i-1 went to partition p.
function before(i, p) {
	return i <= p ? 0 : Math.floor((i - p + parts - 1) / parts)
}

// Runs the command that the line names.
function main(name, commands) {
	Promise.resolve().then(() => {
		check(command in commands, 'no such command')
		return commands[command]()
	}).then(() => process.exit(0), e => {
		console.log('%s %s: %s', name, command,
			e instanceof Failure ? e.message : e.stack)
		process.exit(1)
	})
}

module.exports = { before, check, codecs, count, exact, from, main, opt,
	parts, records, topics }
