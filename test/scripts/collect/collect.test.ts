import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openDataset } from '../../../data/dataset/dataset.ts'
import { pairLabels } from '../../../data/pair.ts'
import {
  type CollectRequest,
  type CollectSummary,
  collect,
} from '../../../scripts/collect/collect.ts'
import { budget } from '../../serving/budgets/budget.ts'
import { isGood, type StandIn, standIn, standInGateway, truth } from './stand-in.ts'

const QUALITY = { big: 0.9, small: 0.5 }
let provider: StandIn
let root: string
let made = 0
const prompts = Array.from({ length: 30 }, (_, i) => `Question ${i}`)
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-collect-'))
  provider = await standIn({ quality: QUALITY })
  const rows = prompts.map((prompt, i) => ({
    prompt,
    category: i < 20 ? 'a' : 'b',
    answer: 'Right',
  }))
  await writeFile(join(root, 'prompts.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'))
})
beforeEach(() => {
  provider.upstream.asked.length = 0
  Object.assign(provider.options, { quality: QUALITY, judge: {}, failing: undefined })
})
afterAll(async () => {
  await provider.close()
  await rm(root, { recursive: true, force: true })
})

/** A request for a folder of its own. */
const request = (more: Partial<CollectRequest> = {}): CollectRequest => ({
  folder: join(root, `out-${++made}`),
  gateway: standInGateway(provider.url),
  prompts: [join(root, 'prompts.jsonl')],
  models: ['big', 'small'],
  rule: 'uniform',
  seed: 1,
  maxTokens: 500,
  judges: [{ model: 'judge', mode: 'pairs', maxTokens: 100 }],
  judgeMayBeCandidate: false,
  checks: [],
  capUsd: 10,
  concurrency: 4,
  batch: 100,
  askAgain: false,
  planOnly: false,
  ...more,
})

async function run(
  asked: CollectRequest,
  more: { signal?: AbortSignal } = {},
): Promise<CollectSummary & { notes: string[] }> {
  const notes: string[] = []
  const watch = { environment: {}, onNote: (note: string) => void notes.push(note), ...more }
  return { ...(await collect(asked, watch)), notes }
}

const tick = () => new Promise((resolve) => setImmediate(resolve))
const questions = (): number => provider.upstream.asked.length

test('asks every model and the judge in both orders, once, and makes a dataset of what was said', async () => {
  const before = provider.usd
  const done = await run(request())
  expect(done).toMatchObject({
    ending: 'done',
    rows: { sample: 30, answered: 30, failed: 0 },
    in_doubt: { calls: 0 },
  })
  expect(questions()).toBe(120)
  expect(done.spent_usd).toBeCloseTo(provider.usd - before, 9)
  expect(done.spent_usd).toBeGreaterThan(0.1)
  const dataset = await openDataset(done.dataset!)
  const labels = pairLabels(dataset, 'big', 'small')
  expect(labels.prompt).toHaveLength(30)
  for (const [i, p] of labels.prompt.entries()) {
    expect(labels.label[i]).toBeCloseTo(truth({ quality: QUALITY }, dataset.prompts[p]!), 5)
  }
})

test('the judge sees answers without names, quoted, and the candidates the messages alone', async () => {
  await run(request({ sampleSize: 2 }))
  const of = (model: string) => provider.upstream.asked.filter((body) => body.model === model)
  expect(of('big')[0]).toMatchObject({ max_tokens: 500, messages: [{ role: 'user' }] })
  const [judge] = of('judge')
  expect(JSON.stringify(judge)).not.toMatch(/"(big|small)"/)
  expect(judge).toMatchObject({ temperature: 0, response_format: { type: 'json_schema' } })
})

test('a second run asks nothing again; a further judge asks only its own questions', async () => {
  const asked = request({ sampleSize: 5 })
  const first = await run(asked)
  const before = questions()
  const again = await run(asked)
  expect(questions()).toBe(before)
  expect(again.spent_usd).toBe(first.spent_usd)
  // going on needs neither prompts nor models
  const single = { model: 'judge', mode: 'single', maxTokens: 100 } as const
  await run({ ...asked, prompts: [], models: [], judges: [single] })
  expect(questions()).toBe(before + 10)
})

test('a plan says what it will take, asks nothing and leaves nothing', async () => {
  const asked = request({ planOnly: true, capUsd: 0.1 })
  const { plan, notes, ending } = await run(asked)
  expect(ending).toBe('planned')
  expect(questions()).toBe(0)
  expect(plan).toMatchObject({ prompts: 30, answers: 60, judgements: 60, cap_usd: 0.1 })
  expect(plan.about_usd).toBeLessThan(plan.most_usd)
  expect(plan.within_cap).toBeLessThan(30)
  expect(plan.half_width.corrected).toBeLessThanOrEqual(plan.half_width.people)
  expect(notes.join('\n')).toMatch(/Plan: 30 of 30 prompts.*the cap of \$0\.10 pays for about/s)
  await expect(readdir(asked.folder)).rejects.toThrow(/ENOENT/)
})

test('the cap holds: what may cost more than is left is not asked, and more money goes on', async () => {
  const asked = request({ capUsd: 0.2, concurrency: 1 })
  const before = provider.usd
  const stopped = await run(asked)
  expect(stopped.ending).toBe('budget')
  expect(provider.usd - before).toBeLessThanOrEqual(0.2)
  expect(stopped.rows.answered).toBeGreaterThan(2)
  expect(stopped.rows.answered).toBeLessThan(30)
  expect(stopped.dataset).toBeDefined()
  const done = await run({ ...asked, capUsd: 10 })
  expect(done).toMatchObject({ ending: 'done', rows: { answered: 30 } })
  expect(done.spent_usd).toBeCloseTo(provider.usd - before, 9)
})

test('the budgets of the gateway apply as well', async () => {
  const folder = join(root, `spend-${made}`)
  const gateway = {
    ...standInGateway(provider.url),
    spend: { folder },
    budgets: [budget({ name: 'month', usd: 0.15, per: 'month' })],
  }
  const stopped = await run(request({ gateway, concurrency: 1 }))
  expect(stopped.ending).toBe('budget')
  expect(stopped.spent_usd).toBeLessThanOrEqual(0.15)
})

test('failures are retried; a judge that cannot be read is asked again, three times at most', async () => {
  provider.options.failing = { share: 0.3, status: 500 }
  provider.options.judge = { garbled: 1 }
  const done = await run(request({ sampleSize: 6 }))
  expect(done).toMatchObject({ ending: 'done', rows: { answered: 6, failed: 0 } })
  const judged = provider.upstream.asked.filter(({ model }) => model === 'judge').length
  expect(judged).toBeGreaterThanOrEqual(6 * 2 * 3)
  expect(done.dataset).toBeUndefined()
})

test('a wrong key ends the run at once, and so do many failures in a row', async () => {
  const failing = { share: 1, status: 401 }
  provider.options.failing = failing
  await expect(run(request())).rejects.toMatchObject({ code: 'upstream_misconfigured' })
  expect(questions()).toBeLessThan(30)
  provider.options.failing = { share: 1, status: 400 }
  await expect(run(request())).rejects.toMatchObject({ code: 'collection_stopped' })
})

test('an interruption finishes the calls under way, keeps what was paid, and goes on later', async () => {
  const asked = request()
  const before = provider.usd
  const controller = new AbortController()
  const stopped = await collect(asked, {
    environment: {},
    onNote: () => {},
    signal: controller.signal,
    onProgress: ({ done }) => done >= 5 && controller.abort(),
  })
  expect(stopped.ending).toBe('interrupted')
  expect(stopped.spent_usd).toBeCloseTo(provider.usd - before, 9)
  const done = await run(asked)
  expect(done.ending).toBe('done')
  expect(done.spent_usd).toBeCloseTo(provider.usd - before, 9)
  expect(questions()).toBe(120)
})

test('interrupted while the last answers are judged, it is not done', async () => {
  const asked = request({ sampleSize: 4 })
  const judging = new AbortController()
  provider.options.delayMs = 5
  const running = run(asked, { signal: judging.signal })
  while (!provider.upstream.asked.some(({ model }) => model === 'small')) await tick()
  judging.abort()
  const last = await running
  delete provider.options.delayMs
  expect(last).toMatchObject({ ending: 'interrupted', rows: { answered: 4 } })
  expect(await run(asked)).toMatchObject({ ending: 'done' })
  expect(questions()).toBe(16)
})

test('a check command that fails ends the run once the calls under way are recorded', async () => {
  const asked = request({ sampleSize: 8, judges: [], command: 'echo no such tool >&2; exit 3' })
  provider.options.delayMs = 20
  const before = provider.usd
  await expect(run(asked)).rejects.toThrow(/exit code 3: no such tool/)
  const made = questions()
  delete provider.options.delayMs
  const paid = provider.usd - before
  const fixed = { ...asked, command: 'exit 0' }
  const done = await run({ ...fixed, capUsd: 10 })
  expect(made).toBe(2 * asked.concurrency)
  expect(done).toMatchObject({ ending: 'done', in_doubt: { calls: 0 } })
  expect(questions()).toBe(16)
  expect(paid).toBeGreaterThan(0)
  expect(done.spent_usd).toBeCloseTo(provider.usd - before, 9)
})

test('a call that was under way when its process died is not asked again unless told', async () => {
  const asked = request({ sampleSize: 4 })
  await run(asked)
  const { folder } = asked
  const [name] = (await readdir(folder)).filter((file) => file.startsWith('calls-'))
  const path = join(folder, name!)
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
  // as if killed before the last answer came, in the middle of writing a line
  const cut = lines.findLastIndex((line) => line.includes('"done"') && line.includes('answer/big'))
  const torn = lines[cut]!.slice(0, 40)
  await writeFile(path, `${lines.filter((_, i) => i !== cut).join('\n')}\n`)
  await appendFile(path, torn)
  const before = questions()
  const doubtful = await run(asked)
  expect(questions()).toBe(before)
  expect(doubtful).toMatchObject({ rows: { answered: 3 }, in_doubt: { calls: 1 } })
  expect(doubtful.in_doubt.most_usd).toBeGreaterThan(0)
  const done = await run({ ...asked, askAgain: true })
  expect(questions()).toBe(before + 1)
  expect(done).toMatchObject({ rows: { answered: 4 }, in_doubt: { calls: 0 } })
})

test('a run stops once it is decided which model is better, or the win rate is known well enough', async () => {
  provider.options.quality = { big: 1, small: 0 }
  const decided = await run(request({ until: { decided: true }, batch: 10, concurrency: 1 }))
  expect(decided.ending).toBe('enough')
  expect(decided.rows.answered).toBeLessThan(30)
  expect(decided.notes.join('\n')).toMatch(/after 10 prompts, big beside small:.*however often/s)
  provider.options.quality = QUALITY
  const wide = await run(request({ until: { halfWidth: 0.001 }, batch: 20 }))
  expect(wide.ending).toBe('done')
})

test('checks grade without a model, and give scores with costs and tokens', async () => {
  const done = await run(request({ judges: [], checks: ['contains'] }))
  expect(questions()).toBe(60)
  const dataset = await openDataset(done.dataset!)
  const m = dataset.models.indexOf('big')
  dataset.prompts.forEach((prompt, i) => {
    const score = dataset.outcomes!.scores[i * 2 + m]
    expect(score).toBe(Number(isGood(QUALITY.big, 'big', prompt)))
    expect(dataset.outcomes!.costs![i * 2 + m]).toBeGreaterThan(0.001)
  })
})

test('a judge must not be judged, under whatever name', async () => {
  const judges = [{ model: 'big', mode: 'pairs', maxTokens: 100 } as const]
  await expect(run(request({ judges }))).rejects.toMatchObject({ code: 'judge_is_candidate' })
  const gateway = standInGateway(provider.url)
  const alias = { ...gateway.models.big!, upstreams: [{ upstream: 'one', model: 'big' }] }
  const other = { ...gateway, models: { ...gateway.models, grader: alias } }
  const under = [{ ...judges[0]!, model: 'grader' }]
  await expect(run(request({ gateway: other, judges: under }))).rejects.toThrow(
    /got grader, which answers as big/,
  )
  expect(questions()).toBe(0)
})

test('a folder keeps to its models, its prompts and its sample', async () => {
  const asked = request({ sampleSize: 3 })
  await run(asked)
  const others: Partial<CollectRequest>[] = [
    { models: ['big', 'judge'], judges: [], judgeMayBeCandidate: true },
    { sampleSize: 4 },
    { seed: 2 },
    { rule: 'stratified' },
    { maxTokens: 100 },
  ]
  for (const other of others) {
    await expect(run({ ...asked, ...other })).rejects.toMatchObject({ code: 'collection_other' })
  }
  await writeFile(join(asked.folder, 'collection.json'), '{"object": "collection"}')
  await expect(run(asked)).rejects.toMatchObject({ code: 'collection_invalid' })
})

test('what cannot be asked is refused before anything is spent', async () => {
  const refused = async (more: Partial<CollectRequest>, message: RegExp): Promise<void> => {
    const asked = request(more)
    await expect(run(asked)).rejects.toThrow(message)
    expect(questions()).toBe(0)
  }
  const gateway = standInGateway(provider.url)
  const { price: _, ...unpriced } = gateway.models.small!
  await refused({ models: ['big', 'large'] }, /no model named large; this gateway has/)
  await refused({ models: ['big', 'big'] }, /each once .*got big,big/)
  await refused({ models: [] }, /--models, got none/)
  await refused(
    { gateway: { ...gateway, models: { ...gateway.models, small: unpriced as never } } },
    /gateway\.models\.small\.price/,
  )
  await refused({ prompts: [], folder: join(root, 'none') }, /prompts to ask/)
  await refused({ rule: 'active' }, /--router/)
  await refused({ sampleSize: 0 }, /--sample-size/)
  await refused({ prompts: [join(root, 'no-such-file.jsonl')] }, /no-such-file/)
  const other = join(root, 'other')
  await writeFile(join(root, 'bad.jsonl'), '{"prompt": ""}\n')
  await refused({ prompts: [join(root, 'bad.jsonl')], folder: other }, /bad\.jsonl:1: prompt/)
  await writeFile(join(root, 'out-busy'), '')
  await refused({ folder: join(root, 'out-busy') }, /could not write .*out-busy/)
})
