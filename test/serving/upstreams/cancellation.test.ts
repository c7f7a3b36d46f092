import { expect, test } from 'vitest'
import { Cancellation } from '../../../serving/upstreams/cancellation.ts'

test('tells its listeners, its signal and its children once, with the reason', () => {
  const parent = new Cancellation()
  const told: string[] = []
  const listener = (): void => void told.push('listener')
  const gone = (): void => void told.push('gone')
  parent.listen(listener)
  parent.listen(gone)
  parent.unlisten(gone)
  const child = parent.child()
  const { signal } = parent
  parent.cancel('why')
  parent.cancel('again')
  expect(told).toEqual(['listener'])
  expect([parent.reason, child.reason, signal.reason]).toEqual(['why', 'why', 'why'])
  expect(parent.child().cancelled).toBe(true)
  expect(new Cancellation().signal.aborted).toBe(false)
})

test('a child goes with a signal of its own, and leaves its parent be', () => {
  const parent = new Cancellation()
  const own = new AbortController()
  const child = parent.child(own.signal)
  own.abort('enough')
  expect(child.reason).toBe('enough')
  expect(parent.cancelled).toBe(false)
  expect(parent.child(own.signal).cancelled).toBe(true)
})
