import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createRandom } from '../../../../core/random.ts'
import type { Decision } from '../../../../models/decision/decision.ts'
import type { DecisionRecord } from '../../../../records/decision-record.ts'
import { readDecisionLog } from '../../../../records/log-reader.ts'
import { readHistory } from '../../../../records/rollout.ts'
import type { Online } from '../../../../serving/router/config.ts'
import { keyHash } from '../../../../serving/router/keys.ts'
import { buildApp } from '../../../../serving/server/app.ts'
import type { ServeConfig } from '../../../../serving/server/config.ts'
import { openServices } from '../../../../serving/server/services.ts'
import { takeBackOnline } from '../../../../training/loop/online-state.ts'
import { loadSample, type SampleApp, sampleApp } from '../../sample-app.ts'

let sample: SampleApp | undefined
afterEach(() => sample?.close())

const open = (
  online: Partial<Online>,
  more: Partial<ServeConfig> = {},
  bundle: object = {},
): Promise<SampleApp> => {
  let id = 0
  return sampleApp({
    bundles: [bundle],
    config: (root) => ({
      online: { folder: join(root, 'online'), ...online },
      log: { folder: join(root, 'log') },
      ...more,
    }),
    services: { newId: () => `d${id++}` },
  })
}
const post = (url: string, payload: object) => sample!.app.inject({ method: 'POST', url, payload })
const route = async (prompt: string, more: object = {}): Promise<Decision> =>
  (await post('/route', { prompt, ...more })).json()
const tell = (decision: Decision, score: number, more: object = {}) =>
  post('/feedback', { decision_id: decision.id, score, ...more })

/** The strong model is no better than the weak one on proofs, whatever the router says. */
async function teach(rounds: number): Promise<Decision[]> {
  const random = createRandom(1)
  const decisions: Decision[] = []
  for (let i = 0; i < rounds; i++) {
    const decision = await route(i % 2 ? 'prove it' : 'hello there')
    decisions.push(decision)
    const strong = decision.model === 'big'
    const good = i % 2 ? (strong ? 0.3 : 0.9) : strong ? 0.9 : 0.3
    await tell(decision, random.next() < good ? 1 : 0)
  }
  return decisions
}

test('feedback corrects the win rate of prompts like it, and decisions follow', async () => {
  sample = await open({ prior_rows: 20 }, { exploration: { floor: 0.1 } })
  const before = await route('prove it')
  expect(before.win_rate).toBeGreaterThan(0.7)
  expect((await route('hello there')).win_rate).toBeLessThan(0.3)
  const decisions = await teach(500)
  expect((await route('prove it')).win_rate).toBeLessThan(0.45)
  expect((await route('hello there')).win_rate).toBeGreaterThan(0.55)
  const late = decisions.slice(-200)
  const proofs = late.filter((_, i) => i % 2 === 1)
  expect(proofs.filter(({ model }) => model === 'small').length).toBeGreaterThan(75)
  expect(sample.bugs).toEqual([])
  expect(sample.warnings).toEqual([])
})

test('several servers, which would each learn their own, are refused', async () => {
  const state = { stores: 'memory' as const, replicas: 2 }
  await expect(open({}, { state })).rejects.toThrow('online: expected one server, got 2 replicas')
})

test('Thompson sampling chooses as often as its propensities say, which the log keeps beside the router’s own win rate', async () => {
  sample = await open({ prior_rows: 1 })
  const decisions: Decision[] = []
  for (let i = 0; i < 400; i++) decisions.push(await route('why'))
  const [first] = decisions
  const strong = first!.candidates.find(({ model }) => model === 'big')!.propensity
  expect(strong).toBeGreaterThan(0.05)
  expect(strong).toBeLessThan(0.95)
  const share = decisions.filter(({ model }) => model === 'big').length / 400
  expect(Math.abs(share - strong)).toBeLessThan(3 * Math.sqrt((strong * (1 - strong)) / 400))
  await sample.services.log!.flushed()
  const logged: DecisionRecord[] = []
  for await (const { record } of readDecisionLog(join(sample.root, 'log'))) {
    if (record.object === 'decision') logged.push(record)
  }
  expect(logged).toHaveLength(400)
  const { winRate } = await sample.router.score(['why'])
  for (const [i, record] of logged.entries()) {
    expect(record.base_win_rate).toBe(winRate[0])
    expect(record.propensities!.big! + record.propensities!.small!).toBeCloseTo(1, 12)
    expect(record.propensity).toBe(decisions[i]!.propensity)
  }
})

test('a dollar budget is kept to, and paid for what gains most', async () => {
  // a strong call is about $.006, a weak one $.0006
  const perRequest = 0.0006 + 0.3 * 0.0054
  sample = await open(
    { budget_usd_per_1000: 1000 * perRequest, prior_rows: 1e6 },
    {},
    { threshold: 0 },
  )
  let spent = 0
  const strong = { hard: 0, easy: 0 }
  const requests = 1200
  for (let i = 0; i < requests; i++) {
    const hard = i % 4 === 0
    const decision = await route(hard ? 'prove it' : 'code')
    spent += decision.candidates[0]!.est_cost_usd!
    if (decision.model === 'big') strong[hard ? 'hard' : 'easy']++
  }
  // 25 requests' worth may be ahead
  expect(spent).toBeLessThan(perRequest * (requests + 26))
  expect(spent).toBeGreaterThan(0.93 * perRequest * requests)
  expect(strong.hard / (requests / 4)).toBeGreaterThan(2 * (strong.easy / ((requests * 3) / 4)))
})

test('a budget is not overrun by exploration, nor by many requests at once', async () => {
  const perRequest = 0.0007
  sample = await open(
    { budget_usd_per_1000: 1000 * perRequest },
    { exploration: { floor: 0.3 } },
    { threshold: 0 },
  )
  const decisions = await Promise.all(Array.from({ length: 400 }, () => route('prove it')))
  const spent = decisions.reduce((sum, one) => sum + one.candidates[0]!.est_cost_usd!, 0)
  expect(spent).toBeLessThan(perRequest * (400 + 26))
  expect(decisions.some(({ threshold }) => threshold === 2)).toBe(true)
})

test('a budget without prices is refused', async () => {
  const candidates = [
    { model: 'big', role: 'strong' as const },
    { model: 'small', role: 'weak' as const },
  ]
  await expect(
    open({ budget_usd_per_1000: 1 }, {}, { manifest: { candidates } }),
  ).rejects.toMatchObject({ code: 'config_invalid' })
})

test('repeated feedback, and feedback on decisions that are not known, change nothing', async () => {
  sample = await open({ prior_rows: 1, policy: 'ucb' })
  const decision = await route('prove it')
  for (let i = 0; i < 64; i++) await tell(decision, 0)
  await post('/feedback', { decision_id: 'nobody', score: 0 })
  expect((await route('prove it')).win_rate).toBe(decision.win_rate)
})

test('states outlive the server and are taken back one by one, under a running server', async () => {
  sample = await open({ prior_rows: 20, keep_every: 200 }, { exploration: { floor: 0.1 } })
  const start = (await route('prove it')).win_rate
  await teach(400)
  const { online } = sample.services
  await online!.follow()
  const learnt = (await route('prove it')).win_rate
  expect(learnt).toBeLessThan(start!)
  const { version } = sample.router.manifest
  const states = join(sample.root, 'online', 'sample', version)
  expect(await readdir(states)).toHaveLength(2)

  // another server over the same folder goes on from there
  const second = await openServices(sample.config, {
    load: loadSample,
    onBug: () => {},
    onWarning: () => {},
    newId: () => 'again',
  })
  const app = buildApp(second)
  const answer = await app.inject({
    method: 'POST',
    url: '/route',
    payload: { prompt: 'prove it' },
  })
  expect(answer.json().win_rate).toBe(learnt)
  await app.close()

  const home = join(sample.root, 'sample')
  const folder = join(sample.root, 'online')
  expect(await takeBackOnline(home, folder, { reason: 'worse' })).toMatchObject({ from: 2, to: 1 })
  await online!.follow()
  const back = (await route('prove it')).win_rate!
  expect(back).not.toBe(learnt)
  await takeBackOnline(home, folder)
  await online!.follow()
  expect((await route('prove it')).win_rate).toBe(start)
  await expect(takeBackOnline(home, folder)).rejects.toMatchObject({ code: 'history_missing' })
  const [event] = await readHistory(home)
  expect(event).toMatchObject({ event: 'rollback', version, reason: 'online state 2 to 1: worse' })
  second.fleet.close()
})

test('without the section nothing of it is there', async () => {
  sample = await sampleApp({ config: (root) => ({ log: { folder: join(root, 'log') } }) })
  const decision = await route('prove it')
  await tell(decision, 0)
  expect(sample.services.online).toBeUndefined()
  expect((await route('prove it')).propensity).toBe(1)
})

test('a key that floods the learner with wrong ratings moves it by no more than the others hold against it', async () => {
  const keys = ['ann', 'bob', 'eve'].map((name) => ({
    name,
    sha256: keyHash(name),
    rate_per_minute: 1_000_000,
  }))
  sample = await open({ prior_rows: 20 }, { keys, exploration: { floor: 0.1 } })
  const ask = async (key: string): Promise<Decision> => {
    const headers = { authorization: `Bearer ${key}` }
    const payload = { prompt: 'prove it' }
    return (await sample!.app.inject({ method: 'POST', url: '/route', payload, headers })).json()
  }
  // the strong model is better on proofs; eve says the opposite
  const rate = async (key: string): Promise<void> => {
    const { id, model } = await ask(key)
    const score = (model === 'big') === (key !== 'eve') ? 1 : 0
    sample!.services.online!.feedback({ object: 'feedback', decision_id: id, score, time: 1, key })
  }
  for (let i = 0; i < 420; i++) await rate(i % 7 === 0 ? 'ann' : i % 7 === 1 ? 'bob' : 'eve')
  const winRate = async (): Promise<number> => (await ask('ann')).win_rate!
  const fair = await winRate()
  expect(fair).toBeGreaterThan(0.4)
  // with the others silent, nothing that eve adds is learnt
  for (let i = 0; i < 100; i++) await rate('eve')
  expect(await winRate()).toBeCloseTo(fair, 9)
})
