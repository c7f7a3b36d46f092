import { expect, test } from 'vitest'
import { retryAfterMs } from '../../../serving/upstreams/retry-after.ts'

const NOW = Date.UTC(2026, 0, 1)

test.each([
  [{ 'retry-after': '7' }, 7000],
  [{ 'retry-after': '1.5' }, 1500],
  [{ 'retry-after': 'Thu, 01 Jan 2026 00:00:09 GMT' }, 9000],
  [{ 'retry-after': '6m0s' }, 360_000],
  [{ 'retry-after': '7', 'retry-after-ms': '250' }, 250],
  [{ 'retry-after': 'soon' }, undefined],
  [{}, undefined],
  // Go's durations, as OpenAI and Groq write them
  [{ 'x-ratelimit-reset-requests': '6m0s' }, 360_000],
  [{ 'x-ratelimit-reset-tokens': '120ms' }, 120],
  [{ 'x-ratelimit-reset-tokens': '1h2m3.5s' }, 3_723_500],
  // the limit that is used up counts
  [
    {
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '6m0s',
      'x-ratelimit-remaining-tokens': '100',
      'x-ratelimit-reset-tokens': '2s',
    },
    360_000,
  ],
  [{ 'x-ratelimit-reset-requests': '6m0s', 'x-ratelimit-reset-tokens': '2s' }, 2000],
  // Anthropic's dates, and the numbers of others: seconds, seconds and milliseconds since 1970
  [
    {
      'anthropic-ratelimit-input-tokens-remaining': '0',
      'anthropic-ratelimit-input-tokens-reset': '2026-01-01T00:00:42Z',
      'anthropic-ratelimit-requests-remaining': '40',
      'anthropic-ratelimit-requests-reset': '2026-01-01T00:00:01Z',
    },
    42_000,
  ],
  [{ 'ratelimit-reset': '30' }, 30_000],
  [{ 'x-ratelimit-reset': String(NOW / 1000 + 12) }, 12_000],
  [{ 'x-ratelimit-reset': String(NOW + 3500) }, 3500],
  [{ 'x-ratelimit-reset': String(NOW - 3500) }, 0],
] as const)('%j asks for %s ms', (headers, expected) => {
  expect(retryAfterMs(headers, { message: '' }, NOW)).toBe(expected)
})

test.each([
  ['Rate limit reached. Please try again in 6m0s.', 360_000],
  ['Please try again in 1.5s. Visit ...', 1500],
  ['try again in 20ms', 20],
  ['Please retry after 12 seconds.', 12_000],
  ['slow down', undefined],
])('the words %j ask for %s ms, where no header does', (words, expected) => {
  expect(retryAfterMs({}, { message: words }, NOW)).toBe(expected)
  expect(retryAfterMs({ 'retry-after': '1' }, { message: words }, NOW)).toBe(1000)
})

test.each([
  ['{"error":{"details":[{"@type":"RetryInfo","retryDelay":"34.5s"}]}}', 34_500],
  ['{"retry_after": 12}', 12_000],
  ['{"retry_after_ms":"250"}', 250],
  ['{"retry_after":"soon"}', undefined],
])('the body %s asks for %s ms, where no header or word does', (body, expected) => {
  expect(retryAfterMs({}, { message: '', body }, NOW)).toBe(expected)
  expect(retryAfterMs({}, { message: 'try again in 1s', body }, NOW)).toBe(1000)
})
