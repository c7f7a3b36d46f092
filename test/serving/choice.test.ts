import { afterAll, beforeAll, expect, test } from 'vitest'
import { type SampleApp, sampleApp } from './sample-app.ts'

const price = (usd: number) => ({ price: { input: 0, output: usd }, output_tokens: 1000 })
const candidates = [
  { model: 'big', role: 'strong' as const, ...price(20) },
  { model: 'small', role: 'weak' as const, ...price(1) },
  { model: 'other', role: 'other' as const, ...price(4) },
]

let sample: SampleApp
beforeAll(async () => {
  const choice = (lambda: number) => ({
    rule: { kind: 'best-value' as const, lambda },
    source: 'default' as const,
  })
  sample = await sampleApp({
    bundles: [
      { name: 'dear', link: 'success', manifest: { candidates, choice: choice(1000) } },
      { name: 'free', link: 'success', manifest: { candidates, choice: choice(0) } },
    ],
  })
})
afterAll(() => sample.close())

const route = async (payload: object) => {
  const response = await sample.app.inject({ method: 'POST', url: '/route', payload })
  return { status: response.statusCode, ...response.json() }
}

test('POST /route of a router among many models answers by value, with every candidate in fallback order', async () => {
  const dear = await route({ prompt: 'prove prove', router: 'dear' })
  expect(dear).toMatchObject({ status: 200, model: 'small', reason: 'best_value' })
  const free = await route({ prompt: 'prove prove', router: 'free' })
  expect(free).toMatchObject({ model: 'big', reason: 'best_value' })
  const scores = free.candidates.map(({ score }: { score: number }) => score)
  expect(scores).toEqual([...scores].sort((a, b) => b - a))
  const costs = Object.fromEntries(
    dear.candidates.map((c: { model: string; est_cost_usd: number }) => [c.model, c.est_cost_usd]),
  )
  expect(costs).toEqual({ big: 0.02, small: 0.001, other: 0.004 })
})

test('POST /route of a router among many models respects the allow-list and the pair’s threshold', async () => {
  const models = ['big', 'other']
  expect(await route({ prompt: 'prove prove', router: 'dear', models })).toMatchObject({
    model: 'other',
    reason: 'best_value',
  })
  expect(await route({ prompt: 'prove prove', router: 'dear', threshold: 0 })).toMatchObject({
    model: 'big',
    reason: 'win_rate_reached',
    threshold: 0,
  })
})

test('POST /route/batch decides as POST /route does, also among many models', async () => {
  const requests = ['prove', 'hello hello', 'code why'].map((prompt) => ({
    prompt,
    router: 'free',
  }))
  const response = await sample.app.inject({
    method: 'POST',
    url: '/route/batch',
    payload: { requests },
  })
  const { data } = response.json()
  for (const [i, request] of requests.entries()) {
    const { model, candidates } = await route(request)
    expect(data[i].decision).toMatchObject({ model, candidates })
  }
})
