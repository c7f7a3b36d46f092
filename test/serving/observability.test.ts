import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openDecisionLines } from '../../serving/server/decision-observers.ts'

import { WinRateDrift } from '../../serving/server/metrics.ts'
import { type SampleApp, sampleApp } from './sample-app.ts'

let sample: SampleApp
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-lines-'))
})
afterEach(async () => {
  await sample?.close()
  await rm(folder, { recursive: true })
})
const post = async (body: object, url = '/route') =>
  (await sample.app.inject({ method: 'POST', url, payload: body })).json()

test('GET /metrics counts decisions, time, win rates, cache, cost, savings and refusals', async () => {
  sample = await sampleApp()
  const hard = await post({ prompt: 'prove it' })
  const easy = await post({ prompt: 'hello' })
  await post({ prompt: 'hello' })
  await post({ prompt: '' })
  const response = await sample.app.inject('/metrics')
  expect(response.headers['content-type']).toMatch(/^text\/plain/)
  const value = (line: string): number => {
    const found = response.body.split('\n').find((one) => one.startsWith(`${line} `))
    return Number(found?.slice(line.length + 1))
  }
  expect(
    value(
      'weir_decisions_total{router="sample",model="big",reason="win_rate_reached",shadow="false"}',
    ),
  ).toBe(1)
  expect(
    value(
      'weir_decisions_total{router="sample",model="small",reason="win_rate_below",shadow="false"}',
    ),
  ).toBe(2)
  expect(value('weir_decision_seconds_count{router="sample"}')).toBe(3)
  expect(value('weir_decision_seconds_bucket{le="1",router="sample"}')).toBe(3)
  expect(value('weir_win_rate_count{router="sample"}')).toBe(3)
  expect(value('weir_cache_total{router="sample",result="hit"}')).toBe(1)
  expect(value('weir_cache_total{router="sample",result="miss"}')).toBe(2)
  expect(value('weir_refused_total{code="prompt_empty"}')).toBe(1)
  const cost = (
    decision: { candidates: { model: string; est_cost_usd: number }[] },
    model: string,
  ) => decision.candidates.find((candidate) => candidate.model === model)!.est_cost_usd
  expect(value('weir_estimated_cost_usd_total{router="sample"}')).toBeCloseTo(
    cost(hard, 'big') + 2 * cost(easy, 'small'),
    12,
  )
  expect(value('weir_estimated_saved_usd_total{router="sample"}')).toBeCloseTo(
    2 * (cost(easy, 'big') - cost(easy, 'small')),
    12,
  )
  const { version } = sample.router.manifest
  expect(
    value(
      `weir_bundle_info{router="sample",version="${version}",family="classifier",encoder="words-5"}`,
    ),
  ).toBe(1)
  expect(response.body).not.toMatch(/prove|hello/)
})

test('the drift gauge is quiet on steady traffic and speaks up on a shift', () => {
  const drift = new WinRateDrift()
  for (let i = 0; i < 1999; i++) drift.add((i * 0.618) % 1)
  expect(drift.psi()).toBeUndefined()
  drift.add(0.5)
  expect(drift.psi()).toBeLessThan(0.02)
  for (let i = 0; i < 500; i++) drift.add(0.95 + 0.05 * ((i * 0.618) % 1))
  expect(drift.psi()).toBeGreaterThan(0.2)
})

test('one line a decision, without the prompt', async () => {
  const file = join(folder, 'deep', 'decisions.log')
  const lines = await openDecisionLines(file)
  sample = await sampleApp({ services: { observers: [lines.observe] } })
  const decision = await post({ prompt: 'prove the zebra' })
  lines.warn('careful', new Error('disk'))
  await lines.close()
  const text = await readFile(file, 'utf8')
  const rows = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(rows[0]).toMatchObject({
    level: 30,
    id: decision.id,
    router: 'sample',
    model: 'big',
    win_rate: decision.win_rate,
    msg: 'decision',
  })
  expect(rows[1]).toMatchObject({ level: 40, msg: 'careful', err: { message: 'disk' } })
  expect(text).not.toContain('zebra')
})

test('every answer has its security headers, errors too', async () => {
  sample = await sampleApp()
  for (const url of ['/health', '/nothing', '/docs', '/metrics']) {
    const { headers } = await sample.app.inject(url)
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    })
  }
  const docs = await sample.app.inject('/docs')
  expect(docs.headers['content-security-policy']).toContain("default-src 'none'")
  expect(docs.body).toContain('/route/batch')
  expect(docs.body).not.toContain('<script')
})
