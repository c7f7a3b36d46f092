import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createRandom } from '../../core/random.ts'
import { type Dataset, SPLITS } from '../../data/dataset/dataset.ts'
import { type IngestOptions, readLogs } from '../../data/ingest.ts'
import { findLeaks } from '../../data/inspect/leaks.ts'
import { DEFAULT_FRACTIONS, shortParts } from '../../data/splits/assign-splits.ts'
import { askedText, readTranscript } from '../../models/reading/transcript.ts'
import { jsonl, refusal, scratch } from './scratch.ts'

const WORDS =
  'amber brook cedar delta ember flint grove heron ivory jetty knoll larch maple north'.split(' ')

/** Prompts of random words, with a user, a topic and a day each. */
function rowsOf(
  n: number,
  seed = 1,
): { prompt: string; user: string; category: string; timestamp: number }[] {
  const random = createRandom(seed)
  return [...Array(n).keys()].map((i) => ({
    prompt: `${[...Array(12)].map(() => WORDS[random.int(WORDS.length)]).join(' ')} ${i}`,
    user: `user ${random.int(n / 4)}`,
    category: WORDS[random.int(WORDS.length)]!,
    timestamp: 1_700_000_000 + i * 1000,
    scores: { m: random.int(2), n: random.int(2) },
  }))
}

async function read(
  rows: readonly object[],
  options: Partial<IngestOptions> = {},
): Promise<Dataset> {
  const folder = await scratch({ 'log.jsonl': jsonl(rows) })
  return readLogs([join(folder, 'log.jsonl')], { seed: 5, ...options })
}

const splitsOf = ({ prompts, split }: Dataset): Map<string, string> =>
  new Map(prompts.map((prompt, i) => [prompt, SPLITS[split[i]!]!]))

describe('splits', () => {
  test('stay as they are when rows are appended', async () => {
    const rows = rowsOf(400)
    const before = splitsOf(await read(rows.slice(0, 200)))
    const after = splitsOf(await read(rows))
    for (const [prompt, split] of before) expect(after.get(prompt)).toBe(split)
  })

  test('keep each group whole, and a prompt that two groups share joins them', async () => {
    const rows = rowsOf(400)
    rows.push({ ...rows[0]!, user: rows[1]!.user })
    const splits = splitsOf(await read(rows, { groupBy: 'user' }))
    const seen = new Map<string, Set<string>>()
    for (const { prompt, user } of rows) {
      const of = seen.get(user) ?? new Set()
      seen.set(user, of.add(splits.get(prompt)!))
    }
    expect([...seen.values()].every((of) => of.size === 1)).toBe(true)
    expect(new Set(splits.values()).size).toBe(4)
  })

  test('stay as they are when a group grows', async () => {
    const rows = rowsOf(400)
    const before = splitsOf(await read(rows.slice(0, 200), { groupBy: 'user' }))
    const after = splitsOf(await read(rows, { groupBy: 'user' }))
    for (const [prompt, split] of before) expect(after.get(prompt)).toBe(split)
  })

  test('by category: the test split is whole categories that training never sees', async () => {
    const data = await read(rowsOf(600), { testBy: 'category' })
    const of = (test: boolean) =>
      new Set(data.categories.filter((_, i) => (SPLITS[data.split[i]!] === 'test') === test))
    expect([...of(true)].filter((category) => of(false).has(category))).toEqual([])
    expect(of(true).size).toBeGreaterThan(0)
    expect(of(false).size).toBeGreaterThan(0)
  })

  test('by date: nothing first asked before the date is tested on, everything after it is', async () => {
    const rows = rowsOf(400)
    const time = rows[300]!.timestamp
    rows.push({ ...rows[10]!, timestamp: time + 5 })
    const splits = splitsOf(await read(rows, { testAfter: time }))
    for (const [i, { prompt }] of rows.slice(0, 400).entries()) {
      expect(splits.get(prompt) === 'test').toBe(i >= 300)
    }
    const folder = await scratch({
      'log.jsonl': jsonl(rows.map(({ timestamp: _, ...row }) => row)),
    })
    const rejectsPath = join(folder, 'bad.jsonl')
    const untimed = readLogs([join(folder, 'log.jsonl')], { seed: 1, testAfter: time, rejectsPath })
    await refusal(untimed, 'too_many_rejects')
    expect(await readFile(rejectsPath, 'utf8')).toContain('timestamp')
  })

  test('that do not add up, or a group column that is not there, are refused', async () => {
    const fractions = { train: 0.5, validation: 0.1, calibration: 0.1, test: 0.1 }
    await refusal(read(rowsOf(10), { fractions }), 'option_invalid')
    await refusal(read(rowsOf(10), { groupBy: 'team' }), 'column_missing')
  })
})

test('the leak report finds near-duplicates across splits, and only those', async () => {
  const rows = rowsOf(1200)
  const clean = findLeaks(await read(rows))
  for (const { exact, normalised, near } of Object.values(clean.splits)) {
    expect([exact, normalised, near]).toEqual([0, 0, 0])
  }
  // A number changed at the start gives another stem, and so perhaps another split.
  const changed = rows.map((row, i) => ({
    ...row,
    prompt: `${i}0 ${row.prompt} and ${'then some more '.repeat(4)}`,
  }))
  const copies = changed.map((row) => ({ ...row, prompt: row.prompt.replace('0 ', '1 ') }))
  const data = await read([...changed, ...copies])
  const truth = new Map<string, number>()
  const splits = splitsOf(data)
  changed.forEach(({ prompt }, i) => {
    const pair = [splits.get(prompt)!, splits.get(copies[i]!.prompt)!]
    const held = pair.find((split) => split !== 'train')
    if (held && pair.includes('train')) truth.set(held, (truth.get(held) ?? 0) + 1)
  })
  for (const [split, { near }] of Object.entries(findLeaks(data).splits)) {
    expect(near).toBeGreaterThanOrEqual(0.95 * truth.get(split)!)
    expect(near).toBeLessThanOrEqual(1.1 * truth.get(split)! + 3)
  }
})

describe('what is asked', () => {
  const questions = (n: number): string[] => rowsOf(n, 9).map(({ prompt }) => prompt)
  const scored = (prompt: string | object, i: number): object => ({
    prompt,
    scores: { m: i % 2, n: 1 },
  })

  test('keeps a question in one split under every template', async () => {
    const asked = questions(300)
    const ways = (q: string): string[] => [
      q,
      `Question: ${q}\nAnswer:`,
      `Q: ${q}\nThink step by step before you answer.`,
      `You are an expert.\n\n${q}\n\nGive only the letter.`,
      `Answer the following question. ${q} Please answer in one word.`,
    ]
    const data = await read(asked.flatMap((q, i) => ways(q).map((prompt) => scored(prompt, i))))
    const splits = splitsOf(data)
    const torn = asked.filter((q) => new Set(ways(q).map((way) => splits.get(way))).size > 1)
    expect(torn.length).toBeLessThanOrEqual(3)
    expect(data.manifest.split_by.copies).toBeGreaterThan(1400)
    expect(new Set(splits.values()).size).toBe(4)
  })

  test('keeps a question in one split whatever conversation it stands in', async () => {
    const asked = questions(200)
    const user = (content: string) => ({ role: 'user', content })
    const ways = (q: string): object[] => [
      [user(q)],
      [{ role: 'system', content: 'Be brief.' }, user(q)],
      [user('hello there'), { role: 'assistant', content: 'yes' }, user(q)],
    ]
    const data = await read(asked.flatMap((q, i) => ways(q).map((way) => scored(way, i))))
    const seen = new Map<string, Set<number>>()
    data.prompts.forEach((prompt, i) => {
      const q = askedText(prompt)
      seen.set(q, (seen.get(q) ?? new Set()).add(data.split[i]!))
    })
    expect(data.prompts.length).toBe(600)
    expect([...seen.values()].every((of) => of.size === 1)).toBe(true)
    for (const { exact, normalised, near } of Object.values(findLeaks(data).splits)) {
      expect([exact, normalised, near]).toEqual([0, 0, 0])
    }
  })

  test('by group: a prompt that everyone sends joins nobody and is not held out', async () => {
    const rows = rowsOf(800)
    const users = [...new Set(rows.map(({ user }) => user))]
    const said = users.flatMap((user) =>
      ['hi', 'thanks'].map((prompt) => ({ ...rows[0]!, prompt, user })),
    )
    const data = await read([...rows, ...said], { groupBy: 'user' })
    const splits = splitsOf(data)
    expect([splits.get('hi'), splits.get('thanks')]).toEqual(['train', 'train'])
    expect(data.manifest.split_by.common).toBe(2)
    const { counts } = data.manifest
    expect(counts.test).toBeGreaterThan(0.08 * counts.prompts)
    expect(shortParts(counts, DEFAULT_FRACTIONS)).toEqual([])
    expect(shortParts({ ...counts, test: 3 }, DEFAULT_FRACTIONS)[0]).toContain('test has 3')
    const own = new Map<string, Set<string>>()
    for (const { prompt, user } of rows) {
      own.set(user, (own.get(user) ?? new Set()).add(splits.get(prompt)!))
    }
    expect([...own.values()].every((of) => of.size === 1)).toBe(true)
  })
})

describe('declared context', () => {
  const rows = [
    { prompt: 'a', tier: 'gold', metadata: { tier: 'other', size: 3 }, scores: { m: 1, n: 0 } },
    { prompt: 'a', tier: '', metadata: { tier: 'free' }, scores: { m: 1, n: 0 } },
    { prompt: [{ role: 'user', content: 'b' }], beta: false, scores: { m: 1, n: 0 } },
    { prompt: 'c', metadata: 'none', scores: { m: 1, n: 0 } },
  ]
  const context = ['tier', 'size', 'beta']
  const contexts = ({ prompts }: Dataset) => prompts.map((prompt) => readTranscript(prompt).context)

  test('is read from columns, then from metadata, and makes rows of a prompt different', async () => {
    const dataset = await read(rows, { context })
    expect(contexts(dataset)).toEqual([
      { tier: 'gold', size: 3 },
      { tier: 'free' },
      { beta: false },
      undefined,
    ])
    expect(dataset.split[0]).toBe(dataset.split[1])
    expect((await read(rows)).prompts).toEqual(['a', 'b', 'c'])
  })

  test('is kept by an exported dataset, for those who ask for it', async () => {
    const dataset = await read(rows, { context })
    const exported = dataset.prompts.map((prompt) => ({ prompt, scores: { m: 1, n: 0 } }))
    expect(contexts(await read(exported, { context: ['tier'] }))).toEqual([
      ...[{ tier: 'gold' }, { tier: 'free' }],
      ...[undefined, undefined],
    ])
    expect((await read(exported)).prompts).toEqual(['a', 'b', 'c'])
  })

  test('of another kind is refused, with the row and the column', async () => {
    const folder = await scratch({ 'log.jsonl': jsonl([...rows, { ...rows[0], tier: ['x'] }]) })
    const rejectsPath = join(folder, 'rejects.jsonl')
    const options = { seed: 1, context, rejectsPath, maxRejects: 1 }
    await readLogs([join(folder, 'log.jsonl')], options)
    const [reject] = (await readFile(rejectsPath, 'utf8')).trim().split('\n')
    expect(JSON.parse(reject!)).toMatchObject({ line: 5, field: 'tier' })
    expect(reject).toContain('expected a number, true, false or text')
  })

  test('is no model of a wide table', async () => {
    const csv = 'prompt,premium,big,small\nq1,1,1,0\nq2,0,1,1\nq3,1,0,0\n'
    const folder = await scratch({ 'log.csv': csv })
    const dataset = await readLogs([join(folder, 'log.csv')], { seed: 1, context: ['premium'] })
    expect(dataset.models).toEqual(['big', 'small'])
    expect(contexts(dataset)[0]).toEqual({ premium: '1' })
  })
})
