import { expect, test } from 'vitest'
import { messagesUsage } from '../../../serving/conversation/messages.ts'
import { usageCost } from '../../../serving/gateway/request-costs.ts'
import { AnthropicDecoder } from '../../../serving/upstreams/anthropic.ts'
import { openAiDialect } from '../../../serving/upstreams/openai.ts'
import type { UpstreamCall } from '../../../serving/upstreams/upstream.ts'

const call: UpstreamCall = {
  endpoint: 'chat',
  body: { model: 'm', messages: [] },
  headers: {},
  remainingMs: 1000,
}
const price = { input: 4, output: 10, cached_input: 1, cache_write: 5 }

test('tokens that OpenAI read from its cache are billed at their own price', () => {
  const usage = {
    prompt_tokens: 1_000_000,
    completion_tokens: 100_000,
    prompt_tokens_details: { cached_tokens: 600_000 },
  }
  const answer = openAiDialect.answer(call, JSON.stringify({ choices: [], usage }))
  expect(answer.usage).toMatchObject({ inputTokens: 1_000_000, cachedInputTokens: 600_000 })
  // 400,000 at 4, 600,000 at 1, 100,000 at 10
  expect(usageCost(price, answer.usage!)).toBeCloseTo(1.6 + 0.6 + 1, 9)
  expect(usageCost({ input: 4, output: 10 }, answer.usage!)).toBeCloseTo(4 + 1, 9)
})

test('what Anthropic read from and wrote to its cache has prices of its own', () => {
  const usage = messagesUsage({
    input_tokens: 100_000,
    cache_read_input_tokens: 500_000,
    cache_creation_input_tokens: 200_000,
    output_tokens: 10_000,
  })!
  expect(usage.inputTokens).toBe(800_000)
  expect(usageCost(price, usage)).toBeCloseTo(0.4 + 0.5 + 1 + 0.1, 9)
})

test('a stream of Anthropic’s that was cut says that its count is not the last', () => {
  const decoder = new AnthropicDecoder(call, 0)
  const event = (value: object) => decoder.event({ event: undefined, data: JSON.stringify(value) })
  event({ type: 'message_start', message: { usage: { input_tokens: 9, output_tokens: 1 } } })
  expect(decoder.usage).toEqual({ inputTokens: 9, outputTokens: 1, partial: true })
  event({
    type: 'message_delta',
    delta: { stop_reason: 'end_turn' },
    usage: { output_tokens: 70 },
  })
  expect(decoder.usage).toEqual({ inputTokens: 9, outputTokens: 70 })
})

test('long prompts have the rates of their tier, prompt and answer alike', () => {
  const price = {
    input: 1,
    output: 10,
    cached_input: 0.1,
    tiers: [
      { above: 200_000, input: 2, output: 15, cached_input: 0.2 },
      { above: 500_000, input: 4, output: 20 },
    ],
  }
  const cost = (inputTokens: number, cachedInputTokens = 0): number =>
    usageCost(price, { inputTokens, outputTokens: 1000, cachedInputTokens })
  expect(cost(200_000)).toBeCloseTo(0.21, 12)
  expect(cost(200_001)).toBeCloseTo(0.400002 + 0.015, 12)
  expect(cost(300_000, 100_000)).toBeCloseTo(0.4 + 0.02 + 0.015, 12)
  expect(cost(600_000, 100_000)).toBeCloseTo(2.4 + 0.02, 12)
})
