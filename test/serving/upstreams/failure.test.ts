import { expect, test } from 'vitest'
import { retryAfterMs } from '../../../serving/upstreams/failure.ts'

test('Retry-After is read as seconds, as a date and as milliseconds', () => {
  const now = Date.UTC(2026, 0, 1)
  expect(retryAfterMs({ 'retry-after': '7' }, now)).toBe(7000)
  expect(retryAfterMs({ 'retry-after': 'Thu, 01 Jan 2026 00:00:09 GMT' }, now)).toBe(9000)
  expect(retryAfterMs({ 'retry-after': '7', 'retry-after-ms': '250' }, now)).toBe(250)
  expect(retryAfterMs({ 'retry-after': 'soon' }, now)).toBeUndefined()
  expect(retryAfterMs({}, now)).toBeUndefined()
})
