import { afterAll, beforeAll, expect, test } from 'vitest'
import { type SampleApp, sampleApp } from './sample-app.ts'

let sample: SampleApp
beforeAll(async () => {
  sample = await sampleApp()
})
afterAll(() => sample.close())

const batch = async (requests: unknown) =>
  sample.app.inject({ method: 'POST', url: '/route/batch', payload: { requests } })

test('POST /route/batch answers each request as POST /route does', async () => {
  const prompts = Array.from({ length: 300 }, (_, i) => `${i % 3 ? 'prove' : 'hello'} number ${i}`)
  const { data } = (await batch(prompts.map((prompt) => ({ prompt })))).json()
  expect(data).toHaveLength(300)
  for (const i of [0, 63, 64, 299]) {
    const single = await sample.router.route({ prompt: prompts[i]! })
    expect(data[i]).toMatchObject({
      index: i,
      decision: { model: single.model, win_rate: single.win_rate },
    })
  }
})

test('POST /route/batch gives a wrong item its error and spoils no other', async () => {
  const response = await batch([
    { prompt: 'why' },
    { prompt: '' },
    { prompt: 5 },
    'no object',
    { prompt: 'x', router: 'nobody' },
    { prompt: 'x', models: ['nobody'] },
    { prompt: 'hello' },
  ])
  expect(response.statusCode).toBe(200)
  const { data } = response.json()
  expect(data.map((item: { error?: { code: string } }) => item.error?.code)).toEqual([
    undefined,
    'prompt_empty',
    'request_invalid',
    'request_invalid',
    'router_unknown',
    'candidates_empty',
    undefined,
  ])
  expect(data[2].error).toMatchObject({ param: 'requests.2.prompt', type: 'invalid_request_error' })
  expect(data.every((item: object) => 'decision' in item !== 'error' in item)).toBe(true)
})

test('POST /route/batch refuses none and more than a thousand', async () => {
  for (const requests of [[], Array.from({ length: 1001 }, () => ({ prompt: 'x' })), 'x']) {
    const response = await batch(requests)
    expect(response.statusCode).toBe(400)
    expect(response.json().error.param).toBe('requests')
  }
})

test('a batch is many times cheaper than its requests one by one', async () => {
  const prompts = Array.from({ length: 400 }, (_, i) => ({ prompt: `why ${i}` }))
  await batch(prompts.map(({ prompt }) => ({ prompt: `warm ${prompt}` })))
  const cpu = async (work: () => Promise<unknown>): Promise<number> => {
    const start = process.cpuUsage()
    await work()
    return process.cpuUsage(start).user
  }
  const together = await cpu(() => batch(prompts.map(({ prompt }) => ({ prompt: `a ${prompt}` }))))
  const alone = await cpu(async () => {
    for (const { prompt } of prompts) {
      await sample.app.inject({ method: 'POST', url: '/route', payload: { prompt: `b ${prompt}` } })
    }
  })
  expect(alone / together).toBeGreaterThan(2)
})

test('others are served while a batch of long prompts is decided', async () => {
  const prompts = Array.from({ length: 40 }, (_, i) => `prove ${i} ${'so '.repeat(16_000)}`)
  let turns = 0
  let over = false
  const turn = (): void => {
    turns++
    if (!over) setImmediate(turn)
  }
  setImmediate(turn)
  const { statusCode } = await batch(prompts.map((prompt) => ({ prompt })))
  over = true
  expect(statusCode).toBe(200)
  // 1.9 million characters, read, scored and decided 128 Ki at a time; it was one turn for all
  expect(turns).toBeGreaterThan(40)
})
