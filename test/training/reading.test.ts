import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { createRandom } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { readLogs } from '../../data/ingest.ts'
import type { ChatMessage } from '../../models/reading/messages.ts'
import { RECIPES } from '../../models/reading/recipe.ts'
import { transcript } from '../../models/reading/transcript.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { evaluate } from '../../training/evaluate/evaluate.ts'
import { type TrainResult, train } from '../../training/train.ts'

async function logOf(lines: readonly object[], more: object = {}): Promise<Dataset> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-reading-'))
  const path = join(folder, 'log.jsonl')
  await writeFile(path, lines.map((line) => JSON.stringify(line)).join('\n'))
  return readLogs([path], { seed: 1, rejectsPath: join(folder, 'rejects.jsonl'), ...more })
}

const trainedOn = async (dataset: Dataset, more: object = {}): Promise<TrainResult> =>
  train(dataset, {
    strong: 'big',
    weak: 'small',
    router: 'classifier',
    engine: 'onnx',
    out: await mkdtemp(join(tmpdir(), 'weir-reading-out-')),
    name: 'read',
    seed: 1,
    threads: 1,
    ...more,
  })

/** As long as what the logs below hold. */
const SIX = 'word1 word22 word13 word4 word25 word16'

const user = (content: string): ChatMessage => ({ role: 'user', content })

/** Conversations in which a word of the first turn says whether the small model fails. */
function talks(rows: number, seed: number): object[] {
  const random = createRandom(seed)
  const words = () => Array.from({ length: 6 }, () => `word${random.int(30)}`).join(' ')
  return Array.from({ length: rows }, (_, i) => {
    const hard = random.next() < 0.5
    return {
      prompt: [
        user(`${words()} ${hard ? 'proof' : 'greeting'}`),
        { role: 'assistant', content: 'yes' },
        user(`go on ${words()} ${i * 7}`),
      ],
      scores: { big: 1, small: Number(random.next() > (hard ? 0.9 : 0.1)) },
    }
  })
}

/** Single prompts in which a word says the same. */
function questions(rows: number, seed: number): { prompt: string; scores: object }[] {
  const random = createRandom(seed)
  return Array.from({ length: rows }, (_, i) => {
    const hard = random.next() < 0.5
    const words = Array.from({ length: 6 }, () => `word${random.int(30)}`).join(' ')
    return {
      prompt: `${words} ${hard ? 'proof' : 'greeting'} ${i * 7}`,
      scores: { big: 1, small: Number(random.next() > (hard ? 0.9 : 0.1)) },
    }
  })
}

describe('a router trained on single prompts', () => {
  let dataset: Dataset
  let trained: TrainResult
  let router: Router
  beforeAll(async () => {
    dataset = await logOf(questions(500, 1))
    trained = await trainedOn(dataset)
    router = await loadRouter(trained.bundle.path)
  })

  it('reads the last user turn, which is part of the bundle and of its version', async () => {
    expect(trained.bundle.manifest.recipe).toEqual(RECIPES[0])
    expect(trained.reading.rows).toBeUndefined()
    const other = await trainedOn(dataset, { recipe: RECIPES[3] })
    expect(other.bundle.manifest.recipe?.name).toBe('conversation')
    expect(other.bundle.manifest.version).not.toBe(trained.bundle.manifest.version)
  })

  it('gives a prompt the same win rate behind any system prompt, earlier turns and envelope', async () => {
    const prompt = dataset.prompts[0]!
    const earlier = [user('word3 greeting'), { role: 'assistant', content: 'hello' }]
    const ways = [
      { prompt },
      { prompt, system: 'You are helpful. '.repeat(500) },
      { messages: [...earlier, user(prompt)] },
      { messages: [user(`<system-reminder>proof proof</system-reminder>\n${prompt}`)] },
    ]
    const rates = []
    for (const way of ways) rates.push((await router.route(way)).win_rate)
    expect(new Set(rates).size).toBe(1)
    const { winRate } = await router.score([transcript(prompt, 'Be brief.')])
    expect(winRate[0]).toBe(rates[0])
  })

  it('says in an explanation what it read', async () => {
    const messages = [user('word1 greeting'), { role: 'assistant', content: 'x' }, user('a proof')]
    const { explanation } = await router.route({ messages, system: 'Be brief.', explain: true })
    expect(explanation?.read).toBe('a proof')
    expect(explanation?.features.map(({ name }) => name).join()).not.toContain('greeting')
  })

  it('is not evaluated on its training prompts behind a system prompt', async () => {
    const wrapped = questions(500, 1).map((row) => ({ ...row, system: 'Be brief.' }))
    const fresh = questions(120, 2)
    const report = await evaluate([trained.bundle.path], await logOf([...wrapped, ...fresh]), {
      seed: 1,
      replicates: 50,
    })
    if (!('rows' in report)) throw new TypeError('expected a report of a pair')
    expect(report.rows).toBeGreaterThanOrEqual(120)
  })
})

describe('a log of conversations', () => {
  it('is read so that what tells is read, and served alike', async () => {
    const trained = await trainedOn(await logOf(talks(320, 1)))
    const { recipe, rows } = trained.reading
    expect(['user', 'recent', 'conversation']).toContain(recipe.name)
    const last = rows!.find(({ name }) => name === 'last')!
    expect(last.above).toBeGreaterThan(3 * last.error)
    expect(trained.bundle.manifest.metrics.recipes).toEqual(rows)
    expect(trained.report.routers[0]!.apgr.low).toBeGreaterThan(0.6)
    const router = await loadRouter(trained.bundle.path)
    const rate = async (first: string) =>
      (await router.route({ messages: [user(`${SIX} ${first}`), user(`go on ${SIX} 700`)] }))
        .win_rate!
    expect(await rate('proof')).toBeGreaterThan(0.2 + (await rate('greeting')))
  }, 120_000)

  it('keeps rows apart that differ in their tools, and learns from the names', async () => {
    const random = createRandom(3)
    const lines = Array.from({ length: 600 }, (_, i) => {
      const hard = random.next() < 0.5
      return {
        prompt: `${SIX} word${i % 30} ${Math.floor(i / 2) * 7}`,
        tools: [{ name: hard ? 'compile' : 'greet', parameters: {} }],
        scores: { big: 1, small: Number(random.next() > (hard ? 0.9 : 0.1)) },
      }
    })
    const dataset = await logOf(lines)
    expect(dataset.prompts.length).toBeGreaterThan(400)
    const trained = await trainedOn(dataset)
    const router = await loadRouter(trained.bundle.path)
    const rate = async (name: string) =>
      (await router.route({ prompt: `${SIX} word7 700`, tools: [{ function: { name } }] }))
        .win_rate!
    expect(await rate('compile')).toBeGreaterThan(0.2 + (await rate('greet')))
  }, 120_000)
})

describe('declared context', () => {
  /** Prompts whose words say nothing; whether the small model fails goes with the feature and the size. */
  function declared(rows: number, seed: number): { metadata: Record<string, unknown> }[] {
    const random = createRandom(seed)
    return Array.from({ length: rows }, (_, i) => {
      const hard = random.next() < 0.5
      const words = Array.from({ length: 6 }, () => `word${random.int(30)}`).join(' ')
      return {
        prompt: `${words} ${i * 7 + seed * 10_000}`,
        metadata: {
          feature: hard ? 'contracts' : 'smalltalk',
          size: hard ? 100 + i : i,
          request: `r${i}`,
        },
        scores: { big: 1, small: Number(random.next() > (hard ? 0.9 : 0.1)) },
      }
    })
  }
  const CONTEXT = { context: ['feature', 'size'] }
  let trained: TrainResult
  let router: Router
  beforeAll(async () => {
    const dataset = await logOf(declared(600, 1), CONTEXT)
    trained = await trainedOn(dataset, { context: ['feature', 'size:number'] })
    router = await loadRouter(trained.bundle.path)
  }, 120_000)

  it('is learned, and read of requests by their metadata', async () => {
    expect(trained.report.routers[0]!.apgr.low).toBeGreaterThan(0.6)
    const rate = async (metadata: Record<string, unknown>) =>
      (await router.route({ prompt: SIX, metadata })).win_rate!
    const [hard, easy] = [
      await rate({ feature: 'contracts' }),
      await rate({ feature: 'smalltalk' }),
    ]
    expect(hard).toBeGreaterThan(easy + 0.2)
    const average = await rate({})
    expect(average).toBeGreaterThan(easy)
    expect(average).toBeLessThan(hard)
    // a value that training has not seen, or that is none, is the average, and never an error
    for (const feature of ['never seen', 7, null, {}, 'x'.repeat(5000)]) {
      expect(await rate({ feature, other: [] })).toBe(average)
    }
  })

  it('is explained, and is not in the bundle', async () => {
    const asked = { prompt: SIX, metadata: { feature: 'contracts', size: 120 }, explain: true }
    const { explanation } = await router.route(asked)
    const names = explanation!.features.map(({ name }) => name)
    expect(names).toContain('[feature: contracts]')
    expect(explanation!.read).toBe(SIX)
    for (const name of await readdir(trained.bundle.path, { recursive: true })) {
      const text = await readFile(join(trained.bundle.path, name), 'latin1').catch(() => '')
      expect(text).not.toMatch(/contracts|smalltalk/)
    }
  })

  it('does not make a prompt that was trained on unseen, whatever is declared of it', async () => {
    const relabelled = declared(600, 1).map((row) => ({ ...row, metadata: { feature: 'other' } }))
    const log = await logOf([...relabelled, ...declared(120, 2)], CONTEXT)
    const report = await evaluate([trained.bundle.path], log, { seed: 1, replicates: 50 })
    if (!('rows' in report)) throw new TypeError('expected a report of a pair')
    // fresh rows, and of the log's own those that were held out: not the 500 that were learned from
    expect(report.rows).toBeLessThan(300)
  })

  it('changes what the text’s length means, where that pays', async () => {
    const random = createRandom(5)
    const rows = Array.from({ length: 500 }, (_, i) => {
      const long = random.next() < 0.5
      const feature = random.next() < 0.5 ? 'contracts' : 'smalltalk'
      const hard = long === (feature === 'contracts')
      const words = Array.from({ length: long ? 40 : 4 }, () => `word${random.int(30)}`).join(' ')
      return {
        prompt: `${words} ${i * 7}`,
        metadata: { feature },
        scores: { big: 1, small: Number(random.next() > (hard ? 0.9 : 0.1)) },
      }
    })
    const context = ['feature']
    const crossed = await trainedOn(await logOf(rows, { context }), { context })
    expect(crossed.bundle.manifest.recipe).toMatchObject({ interactions: 'plain' })
    // a sum of what the feature says and what the length says knows nothing here
    expect(crossed.report.routers[0]!.apgr.low).toBeGreaterThan(0.6)
    const router = await loadRouter(crossed.bundle.path)
    const { explanation } = await router.route({
      prompt: SIX.repeat(7),
      metadata: { feature: 'contracts' },
      explain: true,
    })
    const names = explanation!.features.map(({ name }) => name)
    expect(names.some((name) => name.startsWith('[feature: contracts] ['))).toBe(true)
  }, 120_000)

  it('is asked for in vain where no row declares it', async () => {
    const dataset = await logOf(declared(100, 1), CONTEXT)
    await expect(trainedOn(dataset, { context: ['fature'] })).rejects.toMatchObject({
      code: 'option_invalid',
      message: expect.stringContaining('fature'),
    })
  })
})
