import { expect, test } from 'vitest'
import { EventStream } from '../../../serving/upstreams/event-stream.ts'
import { ChatDecoder } from '../../../serving/upstreams/openai.ts'

const call = { endpoint: 'chat', body: { model: 'm', stream: true }, headers: {}, remainingMs: 1 }
const event = (content: string, reason: string | null = null): string =>
  `data: ${JSON.stringify({ choices: [{ delta: { content }, finish_reason: reason }] })}\n\n`
const DONE = 'data: [DONE]\n\n'

const open = () => {
  const told: string[] = []
  const stream = new EventStream(
    new ChatDecoder(call as never),
    () => told.push('drained'),
    () => told.push('dropped'),
  )
  return { stream, told, push: (text: string) => stream.push(Buffer.from(text)) }
}

test('a reader gets what came, however it was cut, to the letter and to the end', async () => {
  const { stream, push } = open()
  const whole = event('grüße') + event('', 'stop')
  const waiting = stream.next()
  const bytes = Buffer.from(whole + DONE)
  // cut within the ü
  const at = bytes.indexOf(0xc3) + 1
  stream.push(bytes.subarray(0, at))
  stream.push(bytes.subarray(at))
  expect((await waiting).value).toBe(whole)
  expect(stream.over).toBe(true)
  push('what follows is nothing')
  expect(await stream.next()).toEqual({ value: undefined, done: true })
})

test('what came between two reads is read at once', async () => {
  const { stream, push } = open()
  push(event('a'))
  push(event('b'))
  expect((await stream.next()).value).toBe(event('a') + event('b'))
})

test('what came before a break is read before it is thrown', async () => {
  const { stream, push } = open()
  push(event('a'))
  expect(() => push(`${event('b')}data: {"cho\n\n`)).toThrow('no JSON')
  stream.fail(new Error('broken'))
  expect((await stream.next()).value).toBe(event('a') + event('b'))
  await expect(stream.next()).rejects.toThrow('broken')
})

test('what came before a break in its own packet is read as well', async () => {
  const { stream, push } = open()
  expect(() => push(`${event('a')}data: {"cho\n\n`)).toThrow('no JSON')
  stream.fail(new Error('broken'))
  expect((await stream.next()).value).toBe(event('a'))
  await expect(stream.next()).rejects.toThrow('broken')
})

test('a break before the first token leaves nothing to read: it can be asked elsewhere', () => {
  const { stream, push } = open()
  expect(() => push(`${event('')}data: {"cho\n\n`)).toThrow('no JSON')
  expect(stream.alive).toBe(false)
  const early = open()
  expect(() => early.push(DONE)).toThrow('before it said anything')
  expect(() => open().stream.end()).toThrow('in the middle')
  expect(stream.over).toBe(false)
})

test('a slow reader makes the upstream wait, once', async () => {
  const { stream, told, push } = open()
  expect(stream.full).toBe(false)
  push(event('x'.repeat(300_000)))
  expect(stream.full).toBe(true)
  await stream.next()
  expect(stream.full).toBe(false)
  expect(told).toEqual(['drained'])
  push(event('y'))
  await stream.next()
  expect(told).toEqual(['drained'])
})

test('a reader that leaves says so', async () => {
  const { stream, told, push } = open()
  push(event('a'))
  for await (const text of stream) {
    expect(text).toBe(event('a'))
    break
  }
  expect(told).toEqual(['dropped'])
})

test.each([
  ['a last event', (last: string) => last.trimEnd()],
  ['[DONE]', (last: string) => `${last}${DONE.trimEnd()}`],
  ['a byte order mark before it', (last: string) => last],
])('a whole answer is taken without the blank line after %s', async (what, cut) => {
  const { stream, push } = open()
  push(what.startsWith('a byte') ? `\ufeff${event('a')}` : event('a'))
  push(cut(event('b', 'stop')))
  stream.end()
  expect(stream.over).toBe(true)
  expect((await stream.next()).value).toBe(event('a') + event('b', 'stop'))
})

test('an answer that ends inside an event is broken', () => {
  const { stream, push } = open()
  push(event('a'))
  push('data: {"cho')
  expect(() => stream.end()).toThrow('no JSON')
})
