import { expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { EventParser } from '../../../serving/upstreams/sse.ts'

const parse = (packets: readonly string[]) => {
  const parser = new EventParser()
  const events = packets.flatMap((packet) => parser.push(packet))
  return { events, atBoundary: parser.atBoundary }
}

test('reads events with names, comments, several data lines and no space', () => {
  const { events, atBoundary } = parse([
    ': hello\n\nevent: ping\ndata: {"a":1}\n\ndata:x\ndata: y\nid: 7\n\n',
  ])
  expect(events).toEqual([
    { event: 'ping', data: '{"a":1}' },
    { event: undefined, data: 'x\ny' },
  ])
  expect(atBoundary).toBe(true)
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

test('knows a stream that ended inside an event', () => {
  expect(parse(['data: 1\n\ndata: 2']).atBoundary).toBe(false)
  expect(parse(['data: 1\n\ndata: 2\n']).atBoundary).toBe(false)
})

test('refuses an event without an end', () => {
  const parser = new EventParser()
  expect(() => {
    for (let i = 0; i < 10; i++) parser.push(`data: ${'x'.repeat(1024 * 1024)}`)
  }).toThrow(RangeError)
})
