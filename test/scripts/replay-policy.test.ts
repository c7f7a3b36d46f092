import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRandom } from '../../core/random.ts'
import type { FeedbackRecord, GatewayRecord, SignalRecord } from '../../records/decision-record.ts'
import { replayPolicy } from '../../scripts/replay/policy.ts'
import { bundleScores, loggedScores } from '../../scripts/replay/router.ts'
import { type LoggedRequests, readRequests } from '../../scripts/replay/rows.ts'
import { measuredSettings, replaySessions } from '../../scripts/replay/sessions.ts'
import { checkPolicy } from '../../serving/policy/check.ts'
import { type GatewayApp, gatewayApp } from '../serving/gateway/gateway-app.ts'

const POLICY = `
version: 1
models:
  small: {context: 2000}
  big: {tools: true}
routes:
  code: {models: [big]}
  gold: {models: [big, small]}
  cheap: {models: [small]}
guardrails:
  - {name: no-secrets, when: {keywords: [password]}, message: not here}
rules:
  - {name: code, when: {keywords: [code]}, route: code}
  - {name: gold, when: {metadata: {team: gold}}, route: gold}
  - {name: some, when: {percent: 30, characters: {max: 60}}, route: cheap}
sticky: {margin: 0.05}
learned: {threshold: 0.8}
default: cheap
`
interface Asked {
  readonly messages: { role: 'user' | 'system'; content: string }[]
  readonly weir: object
  readonly tools?: object[]
}

let folder: string
let asked: Asked[]
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-replay-'))
  await writeFile(join(folder, 'policy.yaml'), POLICY)
  const random = createRandom(5)
  const words = ['prove', 'integral', 'hello', 'code', 'why', 'password', 'thanks', 'zzz']
  asked = Array.from({ length: 80 }, (_, i) => {
    const say = (n: number): string =>
      Array.from({ length: n }, () => words[random.int(i % 5 === 0 ? 8 : 3)]!).join(' ')
    const long = i % 17 === 0 ? ' and so on'.repeat(900) : ''
    return {
      messages: [
        ...(i % 4 === 0 ? [{ role: 'system' as const, content: say(4) }] : []),
        { role: 'user' as const, content: `${say(1 + random.int(5))}${long}` },
      ],
      weir: {
        session_id: `s${i % 30}`,
        ...(i % 3 === 0 ? { metadata: { team: i % 2 === 0 ? 'gold' : 'iron' } } : {}),
        ...(i % 11 === 0 ? { threshold: 0.1 } : {}),
      },
      ...(i % 13 === 0 ? { tools: [{ type: 'function', function: { name: 'prove' } }] } : {}),
    }
  })
}, 30_000)
afterAll(() => rm(folder, { recursive: true }))

/** What each of the requests was given, in order: a model, or undefined where it was refused. */
async function serve(app: GatewayApp): Promise<(string | undefined)[]> {
  const given: (string | undefined)[] = []
  for (const one of asked) {
    const answer = await app.app.inject({
      method: 'POST',
      url: '/v1/chat/completions',
      payload: { model: 'weir', ...one },
    })
    given.push(answer.headers['x-weir-model'] as string | undefined)
  }
  expect(app.bugs).toEqual([])
  return given
}

async function loggedWith(log: object): Promise<{ log: LoggedRequests; path: string }> {
  const path = await mkdtemp(join(folder, 'log-'))
  const app = await gatewayApp({}, { log: { folder: path, ...log } })
  await serve(app)
  await app.close()
  return { log: await readRequests(path), path }
}

describe('weir replay --policy', () => {
  it('says of each request what a server with that policy then does', async () => {
    const { log, path } = await loggedWith({ text: 'full', metadata: true })
    const served = await gatewayApp({ policy: join(folder, 'policy.yaml') })
    const then = await serve(served)
    await served.close()
    const counts: Record<string, Record<string, number>> = {}
    log.requests.forEach(({ model }, i) => {
      const to = then[i] ?? '(refused)'
      counts[model!] ??= {}
      counts[model!]![to] = (counts[model!]![to] ?? 0) + 1
    })
    const policy = checkPolicy(POLICY, 'policy.yaml')
    const result = await replayPolicy(log, policy, { path, scores: loggedScores(log.requests) })
    expect(result).toMatchObject({ requests: 80, unknown: 0, unnamed: 0 })
    expect(result.matrix).toEqual(counts)
    expect(result.changed).toBe(log.requests.filter(({ model }, i) => model !== then[i]).length)
    // every kind of step had its say, or the comparison would be of little
    const after = Object.entries(result.steps).filter(([, step]) => step.after > 0)
    expect(after.map(([step]) => step).sort()).toEqual(['guardrail', 'learned', 'rule', 'sticky'])
    expect(result.steps.learned!.before).toBe(80)
  }, 30_000)

  it('prices what changes by the log’s own means, or by prices and the request’s own tokens', async () => {
    const { log, path } = await loggedWith({ text: 'full', metadata: true })
    const text = 'version: 1\nmodels: {small: {tools: true}, big: {tools: true}}\ndefault: big\n'
    const policy = checkPolicy(text, 'policy.yaml')
    const scores = loggedScores(log.requests)
    const small = log.requests.filter(({ model }) => model === 'small').length
    expect(small).toBeGreaterThan(5)
    const given = await replayPolicy(log, policy, { path, scores })
    // 1,000 tokens in and 500 out: .002 of small, .02 of big
    expect(given.dollars.before).toBeCloseTo(0.002 * small + 0.02 * (80 - small), 9)
    expect(given.dollars.after).toBeCloseTo(0.02 * 80, 9)
    expect(given.dollars).toMatchObject({
      priced: 80,
      assumptions: [expect.stringMatching(/^big/)],
    })
    const prices = new Map([['big', { input: 100, output: 0 }]])
    const dearer = await replayPolicy(log, policy, { path, scores, prices })
    expect(dearer.dollars.after).toBeCloseTo(0.1 * small + 0.02 * (80 - small), 9)
  }, 30_000)

  it('names the switch where the log does not hold what the policy reads', async () => {
    const { log, path } = await loggedWith({})
    const needs = async (rules: string): Promise<unknown> => {
      const text = `version: 1\nmodels: {small: {private: true}, big: {}}\n${rules}\ndefault: big\n`
      const run = replayPolicy(log, checkPolicy(text, 'p'), { path, scores: new Map() })
      return run.then(
        () => 'it runs',
        (error: Error) => error.message,
      )
    }
    const rule = (when: string): string => `rules: [{name: r, when: ${when}, route: big}]`
    expect(await needs(rule('{keywords: [x]}'))).toMatch(
      /rule r of the policy needs.*--log-text full/,
    )
    expect(await needs('privacy: {detect: true}')).toMatch(/--log-text full/)
    expect(await needs(rule('{tags: [x]}'))).toMatch(/rule r .*--log-metadata/)
    expect(await needs(rule('{characters: {min: 5}, tools: false}'))).toBe('it runs')
  })

  it('leaves as it was what would need a win rate that nobody logged, unless a bundle scores it', async () => {
    const path = await mkdtemp(join(folder, 'log-'))
    const app = await gatewayApp({}, { log: { folder: path, text: 'full' } })
    const { manifest } = app.router
    for (const model of ['big', 'weir']) {
      const messages = [{ role: 'user', content: 'hello' }]
      await app.app.inject({
        method: 'POST',
        url: '/v1/chat/completions',
        payload: { model, messages },
      })
    }
    const log = await (async () => {
      const router = app.router
      const scored = await router.score(['hello'])
      await app.close()
      return { read: await readRequests(path), winRate: scored.winRate[0]! }
    })()
    const named = 'version: 1\nmodels: {small: {}, big: {}}\nlearned: {}\ndefault: big\n'
    const policy = checkPolicy(named, 'p')
    const requests = log.read.requests.map((one) =>
      one.gateway ? { ...one, gateway: { ...one.gateway, asked: 'weir' } } : one,
    )
    const all = { ...log.read, requests }
    const without = await replayPolicy(all, policy, { path, scores: loggedScores(requests) })
    expect(without).toMatchObject({ requests: 2, unknown: 1, changed: 0 })
    const score = async (prompts: readonly string[]) => ({
      winRate: Float64Array.from(prompts, () => log.winRate),
    })
    const scores = await bundleScores(requests, { manifest, score }, { path, text: 'full' })
    const with_ = await replayPolicy(all, policy, { path, scores })
    expect(with_).toMatchObject({ unknown: 0, changed: 1, matrix: { big: { small: 1 } } })
  })
})

describe('weir replay --sessions', () => {
  const BIG = { input: 10, output: 20, cached_input: 1, cache_write: 10 }
  const SMALL = { input: 1, output: 2, cached_input: 0.1, cache_write: 1 }
  const prices = new Map([
    ['big', BIG],
    ['small', SMALL],
  ])
  interface Asked {
    readonly session: string | undefined
    readonly model: string
    readonly minute: number
    readonly input: number
    readonly output?: number
    readonly score?: number
    readonly signs?: readonly string[]
  }
  const logOf = (turns: readonly Asked[]): LoggedRequests => {
    const feedback: FeedbackRecord[] = []
    const signals: SignalRecord[] = []
    const requests = turns.map(
      ({ session, model, minute, input, output = 100, score, signs }, i) => {
        const id = `r${i}`
        const time = 1_700_000_000_000 + minute * 60_000
        const gateway: GatewayRecord = {
          ...{ object: 'gateway', id, time, endpoint: 'messages', key: 'k', asked: 'weir' },
          ...{ step: 'learned', reason: 'win_rate_below', strategy: 'single', targets: [model] },
          ...{ model, propensity: 1, ms: model === 'big' ? 4000 : 1000, status: 200 },
          cost_usd: 0.5,
          attempts: [
            {
              ...{ model, upstream: 'u', outcome: 'answered', ms: 1 },
              input_tokens: input,
              output_tokens: output,
            },
          ],
          ...(session === undefined ? {} : { session_id: session }),
        }
        if (score !== undefined) {
          feedback.push({ object: 'feedback', decision_id: id, score, time, role: 'any' })
        }
        if (signs) {
          signals.push({
            object: 'signal',
            decision_id: id,
            time,
            model,
            signs: [...signs],
            key: 'k',
          })
        }
        return { id, gateway, decision: undefined, model, step: 'learned' }
      },
    )
    return {
      ...{ requests, feedback, signals, text: 'none', metadata: false },
      stats: { torn: 0, invalid: 0 },
    }
  }

  it('counts what each model has read and when, under the log and under a policy', async () => {
    const log = logOf([
      { session: 'a', model: 'big', minute: 0, input: 10_000 },
      { session: 'a', model: 'small', minute: 1, input: 11_000 },
      { session: 'a', model: 'big', minute: 2, input: 12_000 },
      // six minutes later nothing is kept
      { session: 'a', model: 'big', minute: 8, input: 13_000 },
      { session: undefined, model: 'small', minute: 9, input: 2000 },
    ])
    const planned = new Map(log.requests.map(({ id }) => [id, 'small']))
    const result = await replaySessions(log, { prices, cacheMinutes: 5, planned })
    const big = 100_000 + (1 * 10_100 + 10 * 1900) + 130_000 + 3 * 2000
    const small = 11_000 + 200 + 2000 + 200
    expect(result.before.dollars).toBeCloseTo((big + small) / 1e6, 9)
    expect(result).toMatchObject({ sessions: 2, turns: 5, unnamed: 1, unpriced: 0, billed: 2.5 })
    expect(result.before).toMatchObject({ switches: 2, seconds: 14, models: { big: 3, small: 2 } })
    const read = 0.1 * (10_100 + 11_100) + 900 + 900
    expect(result.after!.dollars).toBeCloseTo((10_000 + read + 13_000 + 2000 + 5 * 200) / 1e6, 9)
    expect(result.after).toMatchObject({ switches: 0, seconds: 5, models: { small: 5 } })
    expect(result.after!.cached).toBeCloseTo((10_100 + 11_100) / 48_000, 9)
    expect(result.saved!.value).toBeGreaterThan(0.8)
    expect(result.assumptions[1]).toContain('small: where another model answered, its mean of 100')
    // with a price missing, its turns are left out and counted
    const some = await replaySessions(log, { prices: new Map([['big', BIG]]), cacheMinutes: 5 })
    expect(some).toMatchObject({ turns: 3, unpriced: 2 })
    expect(some.after).toBeUndefined()
  })

  it('measures the loss of a switch, and what a sign adds to the better model, by ratings', async () => {
    const random = createRandom(3)
    const turns: Asked[] = []
    for (let s = 0; s < 400; s++) {
      const session = `s${s}`
      const stuck = random.next() < 0.5
      const at = { session, minute: s, input: 2000 }
      const first = random.next() < 0.5 ? 'big' : 'small'
      turns.push({ ...at, model: first, signs: stuck ? ['correction'] : [] })
      const then = random.next() < 0.5 ? 'big' : 'small'
      const base = then === 'big' ? (stuck ? 0.8 : 0.6) : stuck ? 0.3 : 0.5
      const score = base - (then === first ? 0 : 0.1) + 0.05 * random.normal()
      turns.push({ ...at, minute: s + 0.1, model: then, score: Math.max(0, Math.min(1, score)) })
    }
    const log = logOf(turns)
    // an answer that its client stopped has a line for that beside the one of the next request
    const lines = log.signals.flatMap((line) => [line, { ...line, signs: [] }])
    const { measured } = await replaySessions(
      { ...log, signals: lines },
      { prices, cacheMinutes: 5 },
    )
    // half of .1; half of .5 less .1
    const holds = (its: { low: number; high: number }, truth: number): boolean =>
      its.low <= truth && truth <= its.high && its.high - its.low < 0.1
    expect(holds(measured.switchLoss!, 0.05)).toBe(true)
    expect(holds(measured.stuck.correction!, 0.2)).toBe(true)
    expect(measuredSettings(measured)).toEqual({
      switch_loss: expect.closeTo(measured.switchLoss!.value, 2),
      stuck: { correction: expect.closeTo(measured.stuck.correction!.value, 2) },
    })
    const vague = { value: 0.3, low: -0.1, high: 0.6, n: [20, 20] } as const
    const stuck = { correction: { ...vague, low: 0.1 }, rephrased: vague, stopped: vague }
    expect(measuredSettings({ switchLoss: { ...vague, value: -0.02, high: 0.05 }, stuck })).toEqual(
      { switch_loss: 0, stuck: { correction: 0.3 } },
    )
    const few = await replaySessions(logOf(turns.slice(0, 20)), { prices, cacheMinutes: 5 })
    expect(few.measured).toEqual({ switchLoss: undefined, stuck: {} })
  })

  it('shows progress, and ends when it is told to', async () => {
    const turns = Array.from({ length: 100 }, (_, i) => ({
      ...{ session: `s${i}`, model: 'big', minute: i, input: 2000 },
    }))
    const log = logOf(turns)
    const planned = new Map(log.requests.map(({ id }) => [id, 'small']))
    const stop = new AbortController()
    const seen: number[] = []
    const replayed = replaySessions(log, {
      ...{ prices, cacheMinutes: 5, planned, signal: stop.signal },
      onProgress(done, total) {
        seen.push(done / total)
        if (seen.length === 3) stop.abort()
      },
    })
    await expect(replayed).rejects.toMatchObject({ code: 'cancelled' })
    expect(seen).toHaveLength(3)
  })

  it('follows a policy’s sessions through the turns of a log', async () => {
    const path = await mkdtemp(join(folder, 'log-'))
    const app = await gatewayApp({}, { log: { folder: path, text: 'full' } })
    const said = (n: number) =>
      Array.from({ length: 2 * n + 1 }, (_, i) =>
        i % 2 === 1
          ? { role: 'assistant', content: 'ok' }
          : {
              role: 'user',
              content: `${i % 4 === 0 ? 'hello ' : 'prove the integral '}${'x '.repeat(3000)}`,
            },
      )
    for (let i = 0; i < 4; i++) {
      const payload = { model: 'weir', messages: said(i), weir: { session_id: 's' } }
      await app.app.inject({ method: 'POST', url: '/v1/chat/completions', payload })
    }
    await app.close()
    const log = await readRequests(path)
    const text =
      'version: 1\nmodels: {small: {}, big: {}}\nsessions: {}\nlearned: {}\ndefault: big\n'
    const planned = new Map<string, string | undefined>()
    const result = await replayPolicy(log, checkPolicy(text, 'p'), {
      ...{ path, prices, scores: loggedScores(log.requests) },
      onPlanned: ({ id }, to) => planned.set(id, to),
    })
    expect(result.steps.sessions!.after).toBe(3)
    const { before, after } = await replaySessions(log, { prices, cacheMinutes: 5, planned })
    expect(after!.switches).toBeLessThanOrEqual(before.switches)
  }, 30_000)
})
