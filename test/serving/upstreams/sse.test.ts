import { expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { EventParser } from '../../../serving/upstreams/sse.ts'

const parse = (packets: readonly string[]) => {
  const parser = new EventParser()
  const events = packets.flatMap((packet) => parser.push(packet))
  return { events, rest: parser.flush() }
}

test('reads events with names, comments, several data lines and no space', () => {
  const { events, rest } = parse([
    ': hello\n\nevent: ping\ndata: {"a":1}\n\ndata:x\ndata: y\nid: 7\n\n',
  ])
  expect(events).toEqual([
    { event: undefined, data: '', comment: 'hello' },
    { event: 'ping', data: '{"a":1}' },
    { event: undefined, data: 'x\ny' },
  ])
  expect(rest).toEqual([])
})

test.each(['\n', '\r\n', '\r'])('takes %j for the end of a line', (end) => {
  const { events } = parse([`data: 1${end}${end}data: 2${end}${end}`, `data: 3${end}${end}\n`])
  expect(events.map(({ data }) => data)).toEqual(['1', '2', '3'])
})

test('reads the same events however the text is cut into packets', () => {
  const text = 'event: a\r\ndata: {"x": "é"}\r\n\r\ndata: 2\n\ndata: [DONE]\n\n'
  const whole = parse([text]).events
  const random = createRandom(1)
  for (let i = 0; i < 300; i++) {
    const packets: string[] = []
    for (let at = 0; at < text.length; ) {
      const next = at + 1 + random.int(9)
      packets.push(text.slice(at, next))
      at = next
    }
    expect(parse(packets).events).toEqual(whole)
  }
})

test.each(['data: 1\n\ndata: 2', 'data: 1\n\ndata: 2\n', 'data: 1\r\rdata: 2\r'])(
  'gives the event whose blank line never came when the stream ends: %j',
  (text) => {
    expect(parse([text])).toEqual({
      events: [{ event: undefined, data: '1' }],
      rest: [{ event: undefined, data: '2' }],
    })
  },
)

test('an event of CR lines is whole at its blank line, before the next packet', () => {
  expect(parse(['data: 1\r\r']).events).toHaveLength(1)
  expect(parse(['data: 1\r', '\n\r', '\ndata: 2\r\n\r\n']).events).toHaveLength(2)
})

/** CPU milliseconds of reading one event that comes one character a packet. */
const costOf = (length: number): number => {
  const parser = new EventParser()
  const before = process.cpuUsage()
  parser.push('data: ')
  for (let i = 0; i < length; i++) parser.push('x')
  expect(parser.push('\n\n')[0]?.data).toHaveLength(length)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

test('takes time linear in the packets of one event', () => {
  costOf(20_000)
  const small = costOf(100_000)
  // four times the packets; 93 s for 200,000 with the parser before this one
  expect(costOf(400_000)).toBeLessThan(16 * small + 300)
}, 60_000)

test.each(['\r', '\r\n', '\n\r'])('takes time linear in a packet of %j', (end) => {
  const parser = new EventParser()
  const before = process.cpuUsage()
  for (let i = 0; i < 4; i++) parser.push(end.repeat(256 * 1024))
  expect(process.cpuUsage(before).user).toBeLessThan(1_500_000)
})

test('refuses an event without an end', () => {
  const parser = new EventParser()
  expect(() => {
    for (let i = 0; i < 10; i++) parser.push(`data: ${'x'.repeat(1024 * 1024)}`)
  }).toThrow(RangeError)
})
