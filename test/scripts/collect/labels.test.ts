import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { correctJudge } from '../../../core/stats/judged-mean.ts'
import { openDataset } from '../../../data/dataset/dataset.ts'
import type { Collection, SampleRow } from '../../../scripts/collect/collection.ts'
import { COLLECTION_FILES } from '../../../scripts/collect/collection.ts'
import {
  type GradedRow,
  type HumanLabel,
  labelKey,
  readLabels,
} from '../../../scripts/collect/grades.ts'
import {
  addLabels,
  labelOf,
  labelTasks,
  openTasks,
  readImported,
  toLabelStudio,
  toSpreadsheet,
} from '../../../scripts/collect/label.ts'
import { logLines, writeDataset } from '../../../scripts/collect/log.ts'
import { pairReport, routerCurve } from '../../../scripts/collect/report.ts'
import { promptId } from '../../../scripts/collect/sampling.ts'
import { commandsOf, labelTasksBy, taskLines, wrapped } from '../../../scripts/collect/screen.ts'
import { labelSharing, syncLabels } from '../../../scripts/collect/shared-labels.ts'

import { hasPostgres, type PostgresServer, postgresServer } from '../../stores.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-labels-'))
})
afterAll(() => rm(root, { recursive: true }))

interface World {
  readonly n: number
  readonly labels: number
  /** probabilities that the judge errs, takes the first answer, takes the longer one */
  readonly error?: number
  readonly position?: number
  readonly longer?: number
  readonly seed?: number
}

/** Graded rows of a world where big is better on 60%, and on more of them the higher the router's win rate. */
function world({ n, labels, error = 0, position = 0, longer = 0, seed = 1 }: World) {
  const random = createRandom(seed)
  const winRates = new Map<string, number>()
  const rows = Array.from({ length: n }, (_, i): GradedRow => {
    const prompt = `Question ${i}`
    const row: SampleRow = {
      id: promptId(prompt),
      prompt,
      messages: [{ role: 'user', content: prompt }],
      times: 1,
      propensity: 0.5,
    }
    const q = random.next()
    winRates.set(row.id, q)
    const truth = Number(random.next() < 0.35 + 0.5 * q)
    const lengths = [1 + random.int(100), 1 + random.int(100)]
    const answers = new Map(
      ['big', 'small'].map((model, m) => [
        model,
        { text: 'x'.repeat(lengths[m]!), costUsd: 0.01, outputTokens: 5, cut: false },
      ]),
    )
    const verdict = (first: 'a' | 'b'): number => {
      if (random.next() < position) return first === 'a' ? 1 : 0
      if (random.next() < longer) return lengths[0]! > lengths[1]! ? 1 : 0
      return random.next() < error ? 1 - truth : truth
    }
    const label: HumanLabel = {
      object: 'label',
      id: row.id,
      a: 'big',
      b: 'small',
      winner: truth ? 'a' : 'b',
      by: 'ann',
      time: i,
    }
    return {
      row,
      answers,
      comparisons: [
        { judge: 'j', a: 'big', b: 'small', aFirst: verdict('a'), bFirst: verdict('b') },
      ],
      scores: [],
      labels: i < labels ? [label] : [],
    }
  })
  return { rows, winRates }
}

const collection = (rows: readonly GradedRow[]): Collection => ({
  folder: root,
  sample: rows.map(({ row }) => row),
  settings: {
    object: 'collection',
    format: 1,
    created: '',
    models: ['big', 'small'],
    sample: { rule: 'uniform', seed: 1, size: rows.length, of: 2 * rows.length },
    sources: [],
    max_tokens: 10,
  },
})

describe('the report of a judge', () => {
  test('measures position and length bias, and how people correct it', () => {
    const { rows } = world({ n: 4000, labels: 200, error: 0.05, position: 0.2, longer: 0.3 })
    const report = pairReport(rows, 'big', 'small', 12)!
    const [judge] = report.judges
    // of the verdicts .2 go to the first; the other order takes as many away
    expect(judge!.position!.value).toBeCloseTo(0.2, 1)
    expect(judge!.position!.low).toBeGreaterThan(0.1)
    expect(judge!.longer!.value).toBeCloseTo(0.8 * 0.3, 1)
    expect(judge!.people!.longer!.value).toBeGreaterThan(0.1)
    expect(judge!.people!.rows).toBe(200)
    const counts = judge!.people!.confusion.flat().reduce((sum, count) => sum + count, 0)
    expect(counts).toBe(200)
    expect(judge!.orders.agree).toBeLessThan(0.95)
    // big wins 60% in truth; the judge's noise pulls it to a half
    expect(report.judged.high).toBeLessThan(0.58)
    expect(Math.abs(report.corrected!.value - 0.6)).toBeLessThan(0.1)
    expect(report.corrected!.high).toBeLessThan(report.human!.high + 0.05)
    expect(report.shrink!).toBeLessThan(1)
    expect(report.enough).toMatchObject({ by: 'corrected', spent_usd: 12 })
  })

  test('says how far a perfect judge is enough, and what halving takes', () => {
    const { rows } = world({ n: 2000, labels: 0 })
    const { enough, corrected } = pairReport(rows, 'big', 'small', 10)!
    expect(corrected).toBeUndefined()
    expect(enough).toMatchObject({ by: 'judged', verdict: 'above', halve_labels: undefined })
    expect(enough.halve_usd).toBeCloseTo(30, 6)
    expect(enough.change).toBeLessThan(0.01)
    expect(enough.any_time.high - enough.any_time.low).toBeGreaterThan(
      enough.estimate.high - enough.estimate.low,
    )
  })
})

test('a router’s APGR is right through a biased judge, by the corrected labels', () => {
  const REPEATS = 100
  const N = 800
  const random = createRandom(5)
  // gain 2 (.5 + .45 q) - 1 = .9 q, where the share of the traffic below a score q is q
  const truth = 2 / 3
  const covered = { corrected: 0, judged: 0 }
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const scores = Float64Array.from({ length: N }, () => random.next())
    const human = new Float64Array(N).fill(Number.NaN)
    // the judge takes the strong answer on a third of the prompts, whatever is true
    const judged = scores.map((q, i) => {
      const better = Number(random.next() < 0.5 + 0.45 * q)
      if (i < 150) human[i] = better
      return random.next() < 0.33 ? 1 : better
    })
    const weights = new Float64Array(N).fill(1)
    const { values } = correctJudge({ judged, human })!
    for (const [by, labels] of [
      ['corrected', values],
      ['judged', judged],
    ] as const) {
      const { apgr, points } = routerCurve(scores, labels, weights, by)
      covered[by] += Number(apgr!.low <= truth && truth <= apgr!.high) / REPEATS
      expect(points.map(({ strong_share: share }) => Math.round(10 * share))).toEqual([
        1, 2, 3, 4, 5, 6, 7, 8, 9,
      ])
      expect(points[0]!.threshold).toBeGreaterThan(points[8]!.threshold)
    }
  }
  expect(covered.corrected).toBeGreaterThanOrEqual(0.9)
  // its own interval is narrow and wrong
  expect(covered.judged).toBeLessThan(0.5)
})

test('training gets soft labels with the judge’s estimated errors, and people’s own words', () => {
  const { rows } = world({ n: 300, labels: 100, error: 0.2 })
  const lines = [...logLines(rows, ['big', 'small'])] as {
    id: string
    winner: string
    weight: number
    judge: string
  }[]
  const soft = (id: string): number =>
    lines
      .filter((line) => line.id.startsWith(id) && line.winner === 'a')
      .reduce((sum, { weight }) => sum + weight, 0)
  expect(lines.every(({ judge }) => judge === 'corrected')).toBe(true)
  for (const { row, labels, comparisons } of rows) {
    const { aFirst, bFirst } = comparisons[0]!
    if (labels.length > 0) expect(soft(row.id)).toBe(labels[0]!.winner === 'a' ? 1 : 0)
    else if (aFirst === 1 && bFirst === 1) {
      expect(soft(row.id)).toBeGreaterThan(0.8)
      expect(soft(row.id)).toBeLessThan(1)
    }
  }
  // without people, each order of each judge is half a vote
  const raw = [...logLines(world({ n: 3, labels: 0 }).rows, ['big', 'small'])]
  expect(raw.map(({ weight }) => weight)).toEqual(Array(6).fill(0.5))
})

test('the dataset keeps what judges and people said, for promises', async () => {
  const { rows } = world({ n: 60, labels: 20, error: 0.2 })
  const folder = await mkdtemp(join(root, 'promises-'))
  await writeDataset(folder, rows, ['big', 'small'], 1)
  const { judged, prompts, preferences, manifest } = await openDataset(join(folder, 'dataset'))
  // every vote counts: the soft label of a row is two
  expect(manifest.rows.duplicates).toBe(0)
  const soft = new Float64Array(prompts.length)
  const lines = [...logLines(rows, ['big', 'small'])] as {
    prompt: string
    winner: string
    weight: number
  }[]
  for (const { prompt, winner, weight } of lines) {
    if (winner === 'a') soft[prompts.indexOf(prompt)]! += weight
  }
  const kept = new Float64Array(prompts.length)
  preferences!.prompt.forEach((prompt, i) => {
    kept[prompt]! += preferences!.weight[i]! * preferences!.label[i]!
  })
  kept.forEach((value, i) => {
    expect(value).toBeCloseTo(soft[i]!, 5)
  })
  expect(judged).toHaveLength(1)
  const byJudge = world({ n: 30, labels: 0, position: 0.3 }).rows
  const plain = await writeDataset(folder, byJudge, ['big', 'small'], 1)
  expect(plain!.manifest).toMatchObject({ rows: { duplicates: 0 }, counts: { preferences: 60 } })
  const [pair] = judged!
  expect(pair).toMatchObject({ a: 'big', b: 'small', weight: Array(60).fill(2) })
  expect(pair!.human.filter((one) => one !== null)).toHaveLength(20)
  pair!.prompt.forEach((at, i) => {
    const row = rows.find((one) => one.row.prompt === prompts[at])!
    expect(pair!.human[i]).toBe(
      row.labels.length === 0 ? null : Number(row.labels[0]!.winner === 'a'),
    )
  })
})

describe('labels of people', () => {
  const { rows } = world({ n: 20, labels: 0 })
  const its = collection(rows)
  const tasks = labelTasks(its, rows)

  test('are asked for in random order, blind, each model first on about half', () => {
    expect(tasks.map(({ id }) => id)).not.toEqual(rows.map(({ row }) => row.id))
    const firsts = tasks.filter(({ first }) => first === 'a').length
    expect(firsts).toBeGreaterThan(3)
    expect(firsts).toBeLessThan(17)
    for (const task of tasks) {
      const graded = rows.find(({ row }) => row.id === task.id)!
      expect(task.answers[task.first === 'a' ? 0 : 1]).toBe(graded.answers.get('big')!.text)
      expect(taskLines(task, 120).join('\n')).not.toMatch(/big|small/)
    }
  })

  test('are taken key by key, can be undone, and are on disk at once; the last word counts', async () => {
    const printed: string[] = []
    const keys = Readable.from(['1\n2', '\nnonsense\n\n', 's\nt\nu\nb\n', 'q\n1\n'])
    const { labelled } = await labelTasksBy(tasks, commandsOf(keys), {
      columns: 100,
      print: (line) => void printed.push(line),
      save: (task, choice) => addLabels(root, [labelOf(task, choice, 'ann', printed.length)]),
    })
    expect(labelled).toBe(3)
    const labels = await readLabels(root)
    const by = new Map(labels.map((label) => [label.id, label]))
    const winner = (choice: 0 | 1, at: number): string =>
      (choice === 0) === (tasks[at]!.first === 'a') ? 'a' : 'b'
    expect(by.get(tasks[0]!.id)!.winner).toBe(winner(0, 0))
    expect(by.get(tasks[1]!.id)!.winner).toBe(winner(1, 1))
    expect(by.has(tasks[2]!.id)).toBe(false)
    expect(by.get(tasks[3]!.id)!.winner).toBe('both_bad')
    expect(openTasks(tasks, labels, 'ann')).toHaveLength(17)
    expect(openTasks(tasks, labels, 'bob')).toHaveLength(20)
  })

  test('go to a spreadsheet and back, without formulas; what is unclear is refused with its line', async () => {
    const odd = {
      ...tasks[0]!,
      prompt: '=HYPERLINK("http://x")',
      answers: ['a,"b"', 'c\nd'] as const,
    }
    const text = toSpreadsheet(its, [odd, ...tasks.slice(1)])
    expect(text).toContain(`"'=HYPERLINK(""http://x"")"`)
    const path = join(root, 'labels.csv')
    const fill = (words: readonly string[]): string => {
      let at = 0
      return text.replace(/,\r\n/g, () => `,${words[at++] ?? ''}\r\n`)
    }
    await writeFile(path, fill(['1', '2', ' Tie ', 'both bad', 'LEFT']))
    const { labels, empty } = await readImported(its, tasks, path, 'eve', 5)
    expect(empty).toBe(15)
    expect(labels).toEqual([
      labelOf(tasks[0]!, '1', 'eve', 5),
      labelOf(tasks[1]!, '2', 'eve', 5),
      labelOf(tasks[2]!, 'tie', 'eve', 5),
      labelOf(tasks[3]!, 'both_bad', 'eve', 5),
      labelOf(tasks[4]!, '1', 'eve', 5),
    ])
    await writeFile(path, fill(['1', 'better']))
    await expect(readImported(its, tasks, path, 'eve', 5)).rejects.toThrow(
      /labels\.csv:\d+: better: expected 1, 2, tie or both_bad, got better/,
    )
    await writeFile(path, 'id,better\n0123456789abcdef,1\n')
    await expect(readImported(its, tasks, path, 'eve', 5)).rejects.toThrow(/labels\.csv:2: id/)
    await writeFile(path, 'a,b\n1,2\n')
    await expect(readImported(its, tasks, path, 'eve', 5)).rejects.toThrow(
      /labels\.csv:2: id: expected .* got nothing, 1/,
    )
    await writeFile(path, `id,pair,label\n${tasks[0]!.id},1,2\n`)
    await expect(readImported(its, tasks, path, 'eve', 5)).rejects.toThrow(
      /better: expected a column better .* got id, pair, label/,
    )
  })

  test('go to Label Studio and back, whole or short, with who said what', async () => {
    const given = JSON.parse(toLabelStudio(its, tasks)) as { data: Record<string, unknown> }[]
    const answered = (choice: string, who: unknown, more = {}) => ({
      completed_by: who,
      result: [{ from_name: 'better', type: 'choices', value: { choices: [choice] } }],
      ...more,
    })
    const path = join(root, 'studio.json')
    const full = given.map((task, i) => ({
      id: i + 1,
      ...task,
      annotations:
        i === 0
          ? [answered('1', 7), answered('tie', { id: 8, email: 'bob@x.org' })]
          : i === 1
            ? [answered('2', 7, { was_cancelled: true })]
            : [],
    }))
    await writeFile(path, JSON.stringify(full))
    const { labels, empty } = await readImported(its, tasks, path, 'someone', 5)
    expect(labels).toEqual([
      labelOf(tasks[0]!, '1', '7', 5),
      labelOf(tasks[0]!, 'tie', 'bob@x.org', 5),
    ])
    expect(empty).toBe(19)
    await writeFile(path, JSON.stringify([{ ...given[1]!.data, better: '2', annotator: 3 }]))
    const short = await readImported(its, tasks, path, 'someone', 5)
    expect(short.labels).toEqual([labelOf(tasks[1]!, '2', '3', 5)])
  })

  test('a damaged line of labels is named, one that a crash cut off is passed over', async () => {
    const folder = await mkdtemp(join(root, 'damaged-'))
    const path = join(folder, COLLECTION_FILES.labels)
    await writeFile(path, '{"object": "label", "id": "x')
    await addLabels(folder, [labelOf(tasks[0]!, '1', 'ann', 1)])
    expect(await readLabels(folder)).toHaveLength(1)
    await writeFile(path, `${await readFile(path, 'utf8')}{"object": "label"}\n`)
    await expect(readLabels(folder)).rejects.toThrow(/labels\.jsonl:3/)
  })

  test('long lines wrap, control characters are shown, narrow screens stack the answers', () => {
    expect(wrapped('aaa bbb ccc', 7)).toEqual(['aaa bbb', 'ccc'])
    expect(wrapped('abcdefghij', 4)).toEqual(['abcd', 'efgh', 'ij'])
    const task = { ...tasks[0]!, prompt: 'p\u001b[2Jq', answers: ['left', 'right'] as const }
    expect(taskLines(task, 100).join('\n')).toContain('\\u001b[2J')
    expect(taskLines(task, 100).some((line) => /left +│ right/.test(line))).toBe(true)
    expect(taskLines(task, 60)).toContain('left')
  })
})

describe.skipIf(!hasPostgres)(
  'copies of a collection on several machines share labels in PostgreSQL',
  () => {
    let server: PostgresServer
    let ann: Collection
    let bob: Collection
    let tasks: ReturnType<typeof labelTasks>
    beforeAll(async () => {
      server = await postgresServer()
      const { rows } = world({ n: 12, labels: 0 })
      const its = collection(rows)
      ann = { ...its, folder: await mkdtemp(join(root, 'ann-')) }
      bob = { ...its, folder: await mkdtemp(join(root, 'bob-')) }
      tasks = labelTasks(ann, rows)
    }, 60_000)
    afterAll(() => server?.close())
    const add = ({ folder }: Collection, i: number, by: string, time = i) =>
      addLabels(folder, [labelOf(tasks[i]!, '1', by, time)])
    const keys = async ({ folder }: Collection) => (await readLabels(folder)).map(labelKey).sort()

    test('each gets what the other said, once, and the later label of one person counts', async () => {
      await add(ann, 0, 'ann')
      await add(ann, 1, 'ann')
      await add(bob, 1, 'bob')
      expect(await syncLabels(ann, server.url())).toEqual({ sent: 2, received: 0 })
      expect(await syncLabels(bob, server.url())).toEqual({ sent: 1, received: 2 })
      expect(await syncLabels(ann, server.url())).toEqual({ sent: 0, received: 1 })
      expect(await syncLabels(ann, server.url())).toEqual({ sent: 0, received: 0 })
      expect(await keys(ann)).toEqual(await keys(bob))
      // ann changes her mind on bob's machine
      await addLabels(bob.folder, [labelOf(tasks[0]!, 'tie', 'ann', 99)])
      await syncLabels(bob, server.url())
      await syncLabels(ann, server.url())
      const [first] = (await readLabels(ann.folder)).filter(({ time }) => time === 99)
      expect(first!.winner).toBe('tie')
      // another collection is another matter
      const other = {
        ...ann,
        sample: ann.sample.slice(1),
        folder: await mkdtemp(join(root, 'other-')),
      }
      expect(await syncLabels(other, server.url())).toEqual({ sent: 0, received: 0 })
    })

    test('a store that fails while somebody labels loses nothing', async () => {
      const notes: string[] = []
      const sharing = labelSharing(ann, server.url(), (note) => notes.push(note))
      const said = async (i: number) => {
        await add(ann, i, 'ann')
        await sharing.added([labelOf(tasks[i]!, '1', 'ann', i)])
      }
      await sharing.begin()
      await said(2)
      await server.kill()
      await said(3)
      await said(4)
      expect(notes.filter((note) => note.includes('labels are on disk'))).toHaveLength(1)
      await server.start()
      await said(5)
      await syncLabels(bob, server.url())
      expect(await keys(bob)).toEqual(await keys(ann))
      await expect(syncLabels(ann, 'mysql://x')).rejects.toThrow('for --store, got mysql://x')
      await expect(syncLabels(ann, 'postgres://127.0.0.1:1/x')).rejects.toMatchObject({
        code: 'store_unavailable',
      })
    })
  },
)
