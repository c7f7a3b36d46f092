import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import type { Decision } from '../../../../models/decision/decision.ts'
import { readAnswered } from '../../../../records/feedback/answered.ts'
import { type SampleApp, sampleApp } from '../../sample-app.ts'

let sample: SampleApp | undefined
afterEach(() => sample?.close())

const route = async (prompt: string, more: object = {}): Promise<Decision> =>
  (await sample!.app.inject({ method: 'POST', url: '/route', payload: { prompt, ...more } })).json()

test('a server explores as often as its decisions say, and logs the propensity of both models', async () => {
  let id = 0
  sample = await sampleApp({
    config: (root) => ({ exploration: { floor: 0.2 }, log: { folder: join(root, 'log') } }),
    services: { newId: () => `d${id++}` },
  })
  const decisions: Decision[] = []
  for (let i = 0; i < 600; i++) decisions.push(await route('prove it'))
  const explored = decisions.filter(({ reason }) => reason === 'explored')
  expect(explored.length / 600).toBeGreaterThan(0.15)
  expect(explored.length / 600).toBeLessThan(0.25)
  for (const { propensity, candidates, reason, model } of decisions) {
    expect(propensity).toBeCloseTo(reason === 'explored' ? 0.2 : 0.8, 12)
    expect(candidates[0]!.model).toBe(model)
    expect(candidates[0]!.propensity + candidates[1]!.propensity).toBeCloseTo(1, 12)
  }
  await sample.services.log!.flushed()
  const [segment] = await readdir(join(sample.root, 'log'))
  const lines = (await readFile(join(sample.root, 'log', segment!), 'utf8')).split('\n')
  expect(JSON.parse(lines[1]!)).toMatchObject({ propensities: expect.anything() })
})

test('what has no choice in it is never explored, and nothing is where it is off', async () => {
  sample = await sampleApp({ config: () => ({ exploration: { floor: 0.5 } }) })
  for (let i = 0; i < 20; i++) {
    const decision = await route('prove it', { models: ['big'] })
    expect(decision).toMatchObject({ reason: 'only_allowed', propensity: 1, model: 'big' })
  }
  await sample.close()
  sample = await sampleApp()
  for (let i = 0; i < 20; i++) expect((await route('prove it')).propensity).toBe(1)
})

test('audited requests are marked, and both answers reach the log', async () => {
  sample = await sampleApp({
    config: (root) => ({
      exploration: { floor: 0, audits: 1 },
      log: { folder: join(root, 'log') },
    }),
  })
  const decision = await route('prove it')
  expect(decision).toMatchObject({ audit: true, propensity: 1 })
  const other = decision.candidates[1]!.model
  for (const body of [{ score: 1 }, { score: 0, model: other }]) {
    const payload = { decision_id: decision.id, ...body }
    await sample.app.inject({ method: 'POST', url: '/feedback', payload })
  }
  const { answered } = await readAnswered(join(sample.root, 'log'))
  expect(answered).toMatchObject([{ score: 1, others: new Map([[other, 0]]) }])
})
