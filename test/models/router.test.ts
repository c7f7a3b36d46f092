import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { writeBundle } from '../../models/bundle/write.ts'
import type { RouteRequest } from '../../models/decision/decision.ts'
import { sigmoid } from '../../models/families/linear-head.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { type SampleOptions, sampleDraft, sampleHead } from './sample-bundle.ts'
import { loadWordEncoder, WORD_LIMIT, wordSpec } from './word-encoder.ts'

let root: string
const opened: Router[] = []
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-router-'))
})
afterEach(async () => {
  for (const router of opened.splice(0)) await router.close()
  await rm(root, { recursive: true })
})

async function open(options: SampleOptions = {}): Promise<Router> {
  const { path } = await writeBundle(root, sampleDraft(options))
  const router = await loadRouter(path, {
    loadEncoder: loadWordEncoder,
    now: () => 1_700_000_000_500,
    newId: () => 'decision-1',
  })
  opened.push(router)
  return router
}

const PROMPTS = ['prove the integral', 'hello hello', 'why', 'code code code why', 'zzz']

describe('score', () => {
  test('gives the win rate of the linear head by hand', async () => {
    const router = await open()
    const { winRate } = await router.score(['hello hello'])
    // two 'hello' at -2, length ln(3)/4 at .25, bias -.25
    const logit = 2 * -2 + Math.fround(Math.log(3) / 4) * 0.25 - 0.25
    expect(winRate[0]).toBeCloseTo(sigmoid(logit), 12)
  })

  test.each(
    (['pair', 'bradley-terry', 'success'] as const).flatMap((link) =>
      (['dense', 'sparse'] as const).map((output) => ({ link, output })),
    ),
  )('agrees between the folded head and ONNX Runtime ($link, $output)', async (shape) => {
    const folded = await (await open({ ...shape, name: 'folded' })).score(PROMPTS)
    const graph = await (await open({ ...shape, name: 'graph', folded: false })).score(PROMPTS)
    const apart = (a: Float64Array, b: Float64Array) =>
      Math.max(...a.map((x, i) => Math.abs(x - b[i]!)))
    expect(apart(folded.winRate, graph.winRate)).toBeLessThan(1e-6)
    expect(folded.quality === undefined).toBe(shape.link === 'pair')
    if (folded.quality) expect(apart(folded.quality, graph.quality!)).toBeLessThan(1e-6)
  })

  test('gives a prompt the same win rate alone and in a batch longer than one run', async () => {
    const router = await open({ link: 'success', folded: false, output: 'sparse' })
    const many = Array.from({ length: 600 }, (_, i) => PROMPTS[i % PROMPTS.length]!)
    const batch = await router.score(many)
    for (const at of [0, 255, 256, 599]) {
      const alone = await router.score([many[at]!])
      expect(batch.winRate[at]).toBeCloseTo(alone.winRate[0]!, 7)
    }
  })

  test('applies the probability calibration, which keeps the order', async () => {
    const raw = await (await open()).score(PROMPTS)
    const calibrated = await (
      await open({ manifest: { calibration: { method: 'platt', slope: 0.5, intercept: 0.1 } } })
    ).score(PROMPTS)
    const order = (values: Float64Array) =>
      [...values.keys()].sort((a, b) => values[a]! - values[b]!)
    expect(order(calibrated.winRate)).toEqual(order(raw.winRate))
    const logit = Math.log(raw.winRate[0]! / (1 - raw.winRate[0]!))
    expect(calibrated.winRate[0]).toBeCloseTo(sigmoid(0.5 * logit + 0.1), 12)
  })

  test('never lets NaN out', async () => {
    const { path } = await writeBundle(root, sampleDraft())
    const router = await loadRouter(path, {
      loadEncoder: async () => ({
        spec: wordSpec,
        encode: async () => ({
          embeddings: {
            kind: 'dense',
            rows: 1,
            dimension: 6,
            values: new Float32Array(6).fill(Number.NaN),
          },
          truncated: new Uint8Array(1),
        }),
      }),
    })
    await expect(router.route({ prompt: 'x' })).rejects.toMatchObject({ code: 'score_invalid' })
  })

  test('stops on an aborted signal', async () => {
    const router = await open()
    await expect(router.score(PROMPTS, AbortSignal.abort())).rejects.toMatchObject({
      code: 'cancelled',
    })
  })
})

describe('route', () => {
  test('sends a hard prompt to the strong model, with the whole decision', async () => {
    const router = await open()
    const decision = await router.route({ prompt: 'prove the integral' })
    const { winRate } = await router.score(['prove the integral'])
    expect(decision).toMatchObject({
      id: 'decision-1',
      object: 'routing.decision',
      created: 1_700_000_000,
      router: { name: 'sample', version: router.manifest.version },
      model: 'big',
      win_rate: winRate[0],
      threshold: 0.5,
      calibrated: false,
      reason: 'win_rate_reached',
      fallback: false,
      fallback_reason: null,
      propensity: 1,
      truncated: false,
    })
    expect(
      decision.candidates.map(({ model, eligible, reason, propensity }) => ({
        model,
        eligible,
        reason,
        propensity,
      })),
    ).toEqual([
      { model: 'big', eligible: true, reason: 'chosen', propensity: 1 },
      { model: 'small', eligible: true, reason: 'next', propensity: 0 },
    ])
    // 18 characters are 4.5 tokens at $10/M, and 200 tokens out at $30/M
    expect(decision.candidates[0]!.est_cost_usd).toBeCloseTo((4.5 * 10 + 200 * 30) / 1e6, 12)
    expect(decision.timing_ms).toBeGreaterThanOrEqual(0)
  })

  test('sends a prompt strong where its win rate equals the threshold exactly', async () => {
    const router = await open()
    const [winRate] = (await router.score(['why'])).winRate
    const at = await router.route({ prompt: 'why', threshold: winRate! })
    const above = await router.route({ prompt: 'why', threshold: winRate! + 1e-9 })
    expect([at.model, above.model]).toEqual(['big', 'small'])
    expect(above.candidates.map((c) => c.model)).toEqual(['small', 'big'])
  })

  test('keeps to the allow-list and says so', async () => {
    const router = await open({ link: 'success' })
    const only = await router.route({ prompt: 'prove it', models: ['small'] })
    expect(only).toMatchObject({ model: 'small', reason: 'only_allowed' })
    expect(
      only.candidates
        .filter((c) => c.reason === 'not_allowed')
        .map((c) => c.model)
        .sort(),
    ).toEqual(['big', 'other'])
    const rest = await router.route({ prompt: 'prove it', models: ['other', 'unheard-of'] })
    expect(rest).toMatchObject({ model: 'other', reason: 'only_allowed' })
    await expect(router.route({ prompt: 'x', models: ['nobody'] })).rejects.toMatchObject({
      code: 'candidates_empty',
      param: 'models',
    })
  })

  test('treats a lone user message as the prompt itself', async () => {
    const router = await open()
    const prompt = await router.route({ prompt: 'why hello' })
    const chat = await router.route({ messages: [{ role: 'user', content: 'why hello' }] })
    expect(chat.win_rate).toBe(prompt.win_rate)
  })

  test('routes on the whole conversation: system prompt, earlier turns and the names of tools', async () => {
    const router = await open()
    const asked = async (request: RouteRequest) => (await router.route(request)).win_rate
    const last = { role: 'user', content: 'hello' }
    const alone = await asked({ messages: [last] })
    const earlier = [
      { role: 'user', content: 'prove the integral' },
      { role: 'assistant', content: 'why' },
    ]
    expect(await asked({ messages: [...earlier, last] })).toBeGreaterThan(alone!)
    expect(await asked({ messages: [last], system: 'prove it' })).toBeGreaterThan(alone!)
    expect(await asked({ prompt: 'hello', system: 'prove it' })).toBe(
      await asked({ messages: [{ role: 'system', content: 'prove it' }, last] }),
    )
    const tools = [
      { type: 'function', function: { name: 'prove' } },
      { name: 'integral' },
      { function: 5 },
    ]
    expect(await asked({ prompt: 'hello', tools })).toBe(
      await asked({ prompt: 'tools: prove, integral\n\nhello' }),
    )
  })

  test('says when the prompt was longer than the encoder reads', async () => {
    const router = await open()
    expect((await router.route({ prompt: `prove ${'x'.repeat(WORD_LIMIT)}` })).truncated).toBe(true)
  })

  const refused: [string, RouteRequest, string][] = [
    ['an empty prompt', { prompt: '' }, 'prompt_empty'],
    ['white space', { prompt: ' \n\t' }, 'prompt_empty'],
    ['messages without text', { messages: [{ role: 'user', content: null }] }, 'prompt_empty'],
    ['neither prompt nor messages', {}, 'request_invalid'],
    ['both', { prompt: 'a', messages: [{ role: 'user', content: 'a' }] }, 'request_invalid'],
    ['a prompt past the limit', { prompt: 'x'.repeat(1_000_001) }, 'prompt_too_long'],
    ['another router', { prompt: 'x', router: 'other' }, 'router_unknown'],
  ]
  test.each(refused)('refuses %s', async (_, request, code) => {
    const router = await open()
    await expect(router.route(request)).rejects.toMatchObject({ code })
  })
})

describe('explain', () => {
  test('adds up to the log-odds for a pair head', async () => {
    const router = await open()
    const { features } = await router.explain('prove the integral')
    expect(features.slice(0, 2).map((f) => f.name)).toEqual(['word prove', 'word integral'])
    const [winRate] = (await router.score(['prove the integral'])).winRate
    const sum = features.reduce((total, f) => total + f.contribution, 0)
    expect(sum + sampleHead().bias[0]!).toBeCloseTo(Math.log(winRate! / (1 - winRate!)), 6)
  })

  test('adds up to the difference of success rates from an empty prompt', async () => {
    const router = await open({ link: 'success' })
    const { features } = await router.explain('why code')
    const { quality } = await router.score(['why code'])
    const { bias } = sampleHead('success')
    const sum = features.reduce((total, f) => total + f.contribution, 0)
    expect(sum).toBeCloseTo(
      quality![0]! - quality![1]! - (sigmoid(bias[0]!) - sigmoid(bias[1]!)),
      6,
    )
  })

  test('of a head that says nothing of itself is what each word does when it is left out', async () => {
    const router = await open({ folded: false })
    const { features, note } = await router.explain('prove the integral')
    const texts = ['prove the integral', 'the integral', 'prove integral', 'prove the ']
    const { winRate } = await router.score(texts)
    const [whole, ...without] = [...winRate].map((rate) => Math.log(rate / (1 - rate)))
    const expected = ['“prove”', '“the”', '“integral”'].map((name, i) => [
      name,
      whole! - without[i]!,
    ])
    const found = new Map(features.map(({ name, contribution }) => [name, contribution]))
    for (const [name, contribution] of expected) {
      expect(found.get(name as string) ?? 0).toBeCloseTo(contribution as number, 9)
    }
    expect(features[0]!.name).toBe('“prove”')
    expect(note).toMatch(/no neighbours/)
  })

  test('cuts a long text into few parts, whole words each, and one word into none', async () => {
    const router = await open({ folded: false })
    const words = Array.from({ length: 500 }, (_, i) => (i === 250 ? 'prove' : `word${i}`))
    const { features } = await router.explain(words.join(' '))
    expect(features.length).toBeLessThanOrEqual(16)
    expect(features[0]!.name).toMatch(/^“prove word251 /)
    expect((await router.explain('prove')).features).toEqual([])
    const long = `${'word '.repeat(50_000)}prove ${'word '.repeat(150_000)}`
    const two = await router.explain(long)
    expect(two.features.length).toBeLessThanOrEqual(2)
    expect((await router.explain('x'.repeat(20_000))).features).toEqual([])
  })

  test('comes with a decision when asked for', async () => {
    const router = await open()
    expect(
      (await router.route({ prompt: 'hello', explain: true })).explanation?.features[0],
    ).toMatchObject({ name: 'word hello' })
    expect(await router.route({ prompt: 'hello' })).not.toHaveProperty('explanation')
  })
})
