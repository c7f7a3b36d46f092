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

test('every layout has its row in docs/data.md', async () => {
  const text = await readFile(join(import.meta.dirname, '../../../docs/data.md'), 'utf8')
  const rows = new Set([...text.matchAll(/^\| `([\w-]+)`/gm)].map(([, name]) => name))
  const names = [...READERS, ...SCORE_FILES].map(({ name }) => name)
  expect(names.filter((name) => !rows.has(name))).toEqual([])
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
