import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readLogs } from '../../../data/ingest.ts'
import { READERS, SCORE_FILES } from '../../../data/readers.ts'
import type { LeftOut, LogRow, Reject } from '../../../data/rows/reader.ts'
import { type LogOptions, openLog } from '../../../data/source/log.ts'
import { gatherScores, type ScoresOptions } from '../../../data/source/scores.ts'
import { openSource } from '../../../data/source/source.ts'
import { describedRow } from '../../../testing/reader-contract.ts'
import { jsonl, refusal, scratch } from '../scratch.ts'
import { FIXTURES } from './preset-fixtures.ts'

type Files = Readonly<Record<string, unknown>>

/** Writes the files as their names say: a list under `.jsonl` as lines, anything else as indented JSON. */
async function written(folder: string, files: Files): Promise<string[]> {
  const paths: string[] = []
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name)
    await mkdir(dirname(path), { recursive: true })
    const lines = name.endsWith('.jsonl') && Array.isArray(content)
    await writeFile(path, lines ? jsonl(content) : JSON.stringify(content, undefined, 2))
    paths.push(path)
  }
  return paths
}

/** What the files hold, and the layout that each was recognised as; those in `beside` are not given. */
async function read(
  files: Files,
  beside: readonly string[] = [],
  { scores: file, ...others }: LogOptions & ScoresOptions = {},
) {
  const folder = await scratch()
  const paths = await written(folder, files)
  const given = paths.filter((path) => !beside.some((name) => path.endsWith(name)))
  const sources = await Promise.all(given.map((path) => openSource(path)))
  const options = { ...others, ...(file && { scores: { ...file, path: join(folder, file.path) } }) }
  const { logs, joined, files: scores } = await gatherScores(sources, options)
  const formats = scores.map(({ format }) => format)
  const rows: (LogRow | Reject | LeftOut)[] = []
  for (const source of logs) {
    const log = await openLog(source, { ...options, ...(joined && { joined }) })
    formats.push(log.spec.format)
    for await (const batch of log.rows()) rows.push(...batch)
    await log.close()
  }
  return { formats, rows, lines: rows.map((row) => describedRow(row).replace(`${folder}/`, '')) }
}

describe.each(FIXTURES.map((it) => [it.name, it] as const))('%s', (_, fixture) => {
  test('is recognised without a flag, and its rows are read', async () => {
    const { formats, lines } = await read(fixture.files, fixture.beside, fixture.options)
    expect(formats).toEqual(fixture.formats)
    expect(lines).toEqual(fixture.rows)
  })

  test('gives the first answer its cost, length, time and category', async () => {
    const { rows } = await read(fixture.files, fixture.beside, fixture.options)
    const first = rows.find(
      (row): row is LogRow => row.kind !== 'left_out' && row.kind !== 'reject',
    )!
    const [cost] = first.kind === 'outcome' ? (first.costs?.values() ?? []) : []
    const [tokens] = first.kind === 'outcome' ? (first.tokens?.values() ?? []) : []
    const { timestamp, category } = first
    const found = { cost, tokens, category, time: timestamp && new Date(timestamp * 1000).toJSON() }
    expect(
      Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)),
    ).toEqual(fixture.first)
  })
})

test('every preset has a fixture', () => {
  const presets = READERS.filter(({ mapping }) => mapping !== undefined)
  const shown = new Set(FIXTURES.flatMap(({ formats }) => formats))
  expect(
    [...presets, ...SCORE_FILES].map(({ name }) => name).filter((name) => !shown.has(name)),
  ).toEqual([])
})

test('every layout has its row in docs/data.md, and every row there is a layout', async () => {
  const text = await readFile(join(import.meta.dirname, '../../../docs/data.md'), 'utf8')
  const tables = text.matchAll(/^\| layout \(`--format`\).*\n\|[-|]+\n((?:\|.*\n)+)/gm)
  const rows = new Set(
    [...tables].flatMap(([, table]) =>
      [...table!.matchAll(/^\| `([\w-]+)`/gm)].map(([, name]) => name),
    ),
  )
  const names = [...READERS, ...SCORE_FILES].map(({ name }) => name)
  expect([...rows].sort()).toEqual([...new Set(names)].sort())
})

const lmEval = (index: number): Files =>
  Object.fromEntries(
    Object.entries(FIXTURES.find(({ name }) => name === 'lm-eval')!.files).map(([path, lines]) => [
      path.replace('google__gemma-2b', `m${index}`),
      lines,
    ]),
  )

describe('files of lm-eval', () => {
  test('that are the same for two models both count', async () => {
    const folder = await scratch()
    const [a, b] = [lmEval(1), lmEval(2)].map((files) =>
      Object.fromEntries(Object.entries(files).filter(([name]) => name.includes('samples'))),
    )
    const paths = await written(folder, { ...a, ...b })
    const { manifest, models } = await readLogs(paths, { seed: 1 })
    expect(models).toEqual(['m1', 'm2'])
    expect(manifest.rows).toMatchObject({ read: 8, kept: 4, duplicates: 0, left_out: 4 })
  })

  test('that are copies in two places count once', async () => {
    const folder = await scratch()
    const [samples] = Object.entries(lmEval(1))
    const paths = await written(folder, {
      [`a/${samples![0]}`]: samples![1],
      [`b/${samples![0]}`]: samples![1],
    })
    const { manifest } = await readLogs(paths, { seed: 1 })
    expect(manifest.rows).toMatchObject({ read: 8, kept: 2, duplicates: 4 })
  })

  test('are found in the folder that holds them, and named as it says', async () => {
    const folder = await scratch()
    await written(folder, { ...lmEval(1), ...lmEval(2) })
    const { manifest } = await readLogs([folder], { seed: 1 })
    expect(manifest.sources.map(({ format }) => format)).toEqual(['lm-eval', 'lm-eval'])
  })

  test('are read with another filter if asked', async () => {
    const mapping = { fields: {}, where: { filter: 'flexible-extract' } }
    const { lines } = await read(lmEval(1), ['285735.json'], { mapping })
    expect(lines.slice(2)).toEqual([
      'left out: filter is not flexible-extract',
      'Question: How many clips?\nAnswer: | google/gemma-2b 0',
    ])
  })
})

test('scores with several names ask for one', async () => {
  const { files } = FIXTURES.find(({ name }) => name === 'langfuse (export to blob storage)')!
  const [observations, scores] = Object.values(files) as [unknown[], object[]]
  const more = [...scores, { ...scores[0], name: 'polite', value: 0 }]
  const work = read({ 'observations.jsonl': observations, 'scores.jsonl': more })
  expect((await refusal(work, 'option_invalid')).message).toContain('helpful, polite')
  const chosen = await read({ 'o.jsonl': observations, 's.jsonl': more }, [], {
    scoreName: 'polite',
  })
  expect(chosen.lines[1]).toBe('[{"role":"user","content":"hi"}] | gpt-4o 0')
})

test('an .eval log of Inspect is refused with the command that converts it', async () => {
  const folder = await scratch({ 'run.eval': new Uint8Array([0x50, 0x4b, 3, 4, 0, 0]) })
  const work = readLogs([join(folder, 'run.eval')], { seed: 1 })
  expect((await refusal(work, 'file_unreadable')).message).toContain(
    'inspect log convert --to json',
  )
})

const fixture = (name: string): Files => FIXTURES.find((it) => it.name === name)!.files

test.each([
  ['inspect', 'log.json'],
  ['braintrust (API)', 'experiment.json'],
])('several scores in one file of %s ask for one', async (name, file) => {
  const work = read({ [file]: fixture(name)[file] })
  expect((await refusal(work, 'option_invalid')).message).toMatch(/scores in .*: \w+, \w+/)
})

/** The only document of a fixture, with the list at `path` repeated until it has thousands of elements. */
function repeated(name: string, path: readonly (string | number)[]): Files {
  const files = structuredClone(fixture(name)) as Record<string, unknown>
  const [file, document] = Object.entries(files).find(([at]) => !at.endsWith('s.json'))!
  const content = Array.isArray(document) ? document[0] : document
  const owner = path.slice(0, -1).reduce((at, key) => (at as never)[key], content)
  const list = (owner as Record<string, unknown[]>)[path.at(-1)!]!
  const filler = 'x'.repeat(300)
  const many = Array.from({ length: 400 }, () =>
    list.map((one) => ({ ...(one as object), filler })),
  )
  Object.assign(owner, { [path.at(-1)!]: many.flat() })
  return { ...files, [file.replace('.jsonl', '.json')]: content }
}

test.each([
  ['helm', ['request_states'], undefined],
  [
    'otel (GenAI spans with evaluations)',
    ['resourceSpans', 0, 'scopeSpans', 0, 'spans'],
    undefined,
  ],
  ['braintrust (API)', ['events'], 'Factuality'],
] as const)('a large document of %s is read row by row', async (name, path, scoreName) => {
  const folder = await scratch()
  const files = repeated(name, path)
  const [given] = (await written(folder, files)).filter((it) =>
    /(state|traces|experiment).json$/.test(it),
  )
  const rowsOf = async (documentBytes?: number) => {
    const source = await openSource(given!)
    const log = await openLog(source, { documentBytes, ...(scoreName && { scoreName }) })
    const lines: string[] = []
    let most = 0
    let firstAt: number | undefined
    for await (const batch of log.rows()) {
      firstAt ??= source.bytesRead() / source.size
      most = Math.max(most, batch.length)
      lines.push(...batch.map(describedRow))
    }
    await log.close()
    return { lines, most, firstAt: firstAt! }
  }
  const [held, streamed] = [await rowsOf(), await rowsOf(20_000)]
  expect(streamed.lines.length).toBeGreaterThan(500)
  const scored = (lines: readonly string[]) => lines.filter((line) => !line.startsWith('left out'))
  expect(scored(streamed.lines)[0]).toBe(scored(held.lines)[0])
  if (name !== 'helm') expect(streamed.lines).toEqual(held.lines)
  // the rows of a piece of the file at a time
  expect(streamed.firstAt).toBeLessThan(0.5)
  expect(streamed.most).toBeLessThan(streamed.lines.length / 2)
})

test('pages without rows among others are passed over with a note, unless they are all there is', async () => {
  const folder = await scratch()
  const pages = {
    'page-1.json': fixture('helicone (API)')[Object.keys(fixture('helicone (API)'))[0]!],
    'page-2.json': { data: [], meta: { page: 2, totalItems: 0 } },
    'page-3.json': { events: [], cursor: null },
    'page-4.json': [],
  }
  const paths = await written(folder, pages)
  await writeFile(join(folder, 'page-5.jsonl'), '')
  const notes: string[] = []
  const options = { seed: 1, onNote: (note: string) => notes.push(note) }
  const { manifest } = await readLogs([...paths, join(folder, 'page-5.jsonl')], options)
  expect(manifest.rows.kept).toBeGreaterThan(0)
  expect(notes.filter((note) => note.includes('passed over, it holds no rows'))).toHaveLength(4)
  await refusal(readLogs(paths.slice(1), { seed: 1 }), 'rows_too_few')
})
