import { execFileSync } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../core/errors.ts'
import { ingest, readLogs } from '../../data/ingest.ts'
import { writeArrow } from '../../data/source/arrow.ts'
import { gzip, jsonl, refusal, scratch } from './scratch.ts'

const ROWS = [...Array(40).keys()].map((i) => ({
  prompt: `prompt ${i}, "quoted"\nand more`,
  model_a: 'big',
  model_b: 'small',
  winner: i % 3 === 0 ? 'a' : 'b',
}))

const COLUMNS = ['prompt', 'model_a', 'model_b', 'winner'] as const

const delimited = (delimiter: string): string =>
  [
    COLUMNS.join(delimiter),
    ...ROWS.map((row) =>
      COLUMNS.map((name) => `"${row[name].replace(/"/g, '""')}"`).join(delimiter),
    ),
  ].join('\r\n')

const parquet = (): Uint8Array =>
  new Uint8Array(
    parquetWriteBuffer({
      columnData: COLUMNS.map((name) => ({ name, data: ROWS.map((row) => row[name]) })),
      rowGroupSize: 16,
    }),
  )

async function arrow(): Promise<Uint8Array> {
  const path = join(await scratch(), 'rows.arrow')
  const text = (values: readonly string[]) => {
    const bytes = values.map((value) => Buffer.from(value))
    const offsets = Int32Array.from({ length: bytes.length + 1 }, (_, i) =>
      bytes.slice(0, i).reduce((sum, value) => sum + value.length, 0),
    )
    return { kind: 'text', offsets, bytes: Buffer.concat(bytes) } as const
  }
  const columns = Object.fromEntries(
    COLUMNS.map((name) => [name, text(ROWS.map((row) => row[name]))]),
  )
  await writeArrow(path, [{ rows: ROWS.length, columns }])
  return readFile(path)
}

/** By the zstd command, which shares no code with what reads it. */
function zstd(text: string): Uint8Array | undefined {
  try {
    return execFileSync('zstd', ['-c'], { input: text, stdio: ['pipe', 'pipe', 'ignore'] })
  } catch {
    return undefined
  }
}

async function labels(name: string, content: string | Uint8Array): Promise<unknown> {
  const folder = await scratch({ [name]: content })
  const data = await readLogs([join(folder, name)], { seed: 1 })
  return [data.prompts, [...data.preferences!.label], data.models]
}

describe('one log in any container is one dataset', () => {
  const expected = [
    ROWS.map((row) => row.prompt),
    ROWS.map((row) => (row.winner === 'a' ? 1 : 0)),
    ['big', 'small'],
  ]
  test.each([
    ['rows.jsonl', () => jsonl(ROWS)],
    [
      'rows.jsonl with CRLF, a BOM and blank lines',
      () => `\ufeff${jsonl(ROWS).replace(/\n/g, '\r\n\r\n')}`,
    ],
    ['rows.json', () => JSON.stringify(ROWS)],
    ['rows.json, spread over lines', () => JSON.stringify(ROWS, null, 2)],
    [
      'objects one after another, spread over lines',
      () => ROWS.map((row) => JSON.stringify(row, null, 1)).join('\n'),
    ],
    ['rows.csv', () => delimited(',')],
    ['rows.tsv', () => delimited('\t')],
    ['rows.parquet', parquet],
    ['rows.arrow', arrow],
    ['rows.jsonl.gz', () => gzip(jsonl(ROWS))],
    [
      'rows.csv.gz of two members',
      () => Buffer.concat([gzip(delimited(',').slice(0, 500)), gzip(delimited(',').slice(500))]),
    ],
  ])('%s', async (name, content) => {
    expect(await labels(name.split(/[ ,]/)[0]!, await content())).toEqual(expected)
  })

  const compressed = zstd(jsonl(ROWS))
  test.skipIf(!compressed)('rows.jsonl.zst (skipped where there is no zstd command)', async () => {
    expect(await labels('rows.jsonl.zst', compressed!)).toEqual(expected)
    const cut = compressed!.subarray(0, compressed!.length - 9)
    await refusal(labels('rows.jsonl.zst', cut), 'file_truncated')
  })
})

describe('ingest refuses in one line', () => {
  const refused: readonly [string, () => string | Uint8Array, ErrorCode, string][] = [
    ['a Parquet file that is cut', () => parquet().slice(0, 600), 'file_unreadable', 'Parquet'],
    [
      'Parquet in gzip',
      () => gzip(Buffer.from(parquet()).toString('latin1')),
      'file_unreadable',
      'of its own',
    ],
    ['UTF-16', () => Buffer.from('\ufeffprompt,m\nx,1', 'utf16le'), 'file_unreadable', 'UTF-16'],
    ['a zip archive', () => Buffer.from('504b030400000000', 'hex'), 'file_unreadable', 'zip'],
    ['a Python pickle', () => Buffer.from('8004950000', 'hex'), 'file_unreadable', 'to_parquet'],
    ['an empty file', () => '', 'rows_too_few', 'in '],
  ]
  test.each(refused)('%s', async (_, content, code, words) => {
    expect((await refusal(labels('file', content()), code)).message).toContain(words)
  })

  test('a bad row of Parquet by its row group and row', async () => {
    const winners = ROWS.map((row, i) => (i === 20 ? 'nobody' : row.winner))
    const bytes = parquetWriteBuffer({
      columnData: COLUMNS.map((name) => ({
        name,
        data: name === 'winner' ? winners : ROWS.map((row) => row[name]),
      })),
      rowGroupSize: 16,
    })
    const folder = await scratch({ 'rows.parquet': new Uint8Array(bytes) })
    const rejectsPath = join(folder, 'bad.jsonl')
    const read = readLogs([join(folder, 'rows.parquet')], { seed: 1, rejectsPath })
    expect((await refusal(read, 'too_many_rejects')).message).toContain(
      'row group 1, row 5: winner',
    )
    expect(JSON.parse(await readFile(rejectsPath, 'utf8'))).toMatchObject({ row_group: 1, row: 5 })
  })
})

describe('many files', () => {
  test('a folder, a pattern and a list read the same, and bytes met before are counted once', async () => {
    const folder = await scratch({
      'a.jsonl': jsonl(ROWS.slice(0, 20)),
      'b.jsonl.gz': gzip(jsonl(ROWS.slice(20))),
      'notes.txt': 'not a log',
    })
    const list = [join(folder, 'a.jsonl'), join(folder, 'b.jsonl.gz')]
    for (const paths of [list, [folder], [join(folder, '*.jsonl*')]]) {
      expect((await readLogs(paths, { seed: 1 })).prompts).toHaveLength(40)
    }
    const { manifest } = await readLogs([...list, list[0]!], { seed: 1 })
    expect(manifest.rows).toEqual({ read: 60, kept: 40, rejected: 0, duplicates: 20 })
    expect(manifest.sources.map(({ rows }) => rows)).toEqual([20, 20, 20])
    await refusal(readLogs([join(folder, '*.csv')], { seed: 1 }), 'file_not_found')
  })

  test('columns of other names are mapped, in text and in Parquet', async () => {
    const renamed = ROWS.map(({ prompt, model_a, ...rest }) => ({
      question: prompt,
      left: model_a,
      ...rest,
    }))
    const names = ['question', 'left', 'model_b', 'winner'] as const
    const bytes = parquetWriteBuffer({
      columnData: names.map((name) => ({ name, data: renamed.map((row) => row[name]) })),
    })
    const folder = await scratch({ 'a.jsonl': jsonl(renamed), 'b.parquet': new Uint8Array(bytes) })
    const map = new Map([
      ['prompt', 'question'],
      ['model_a', 'left'],
    ])
    for (const name of ['a.jsonl', 'b.parquet']) {
      expect((await readLogs([join(folder, name)], { seed: 1, map })).prompts).toHaveLength(40)
      await refusal(readLogs([join(folder, name)], { seed: 1 }), 'column_missing')
    }
  })

  test('a judge’s scores are rescaled, and refused outside their range', async () => {
    const rows = [
      { prompt: 'p', scores: { m: 1, n: 10 } },
      { prompt: 'q', scores: { m: 5.5, n: 10.5 } },
    ]
    const folder = await scratch({ 'a.jsonl': jsonl(rows) })
    const rejectsPath = join(folder, 'bad.jsonl')
    const options = { seed: 1, scoreRange: [1, 10] as const, maxRejects: 1, rejectsPath }
    const data = await readLogs([join(folder, 'a.jsonl')], options)
    expect([...data.outcomes!.scores]).toEqual([0, 1])
    expect(data.manifest.rows.rejected).toBe(1)
  })
})

test('a large log read on several threads is the same bytes as its Parquet, and its rejects keep their lines', async () => {
  // above the size from which threads share the work, most of it in a field that is not read
  const note = 'x'.repeat(3000)
  const rows = [...Array(6_000).keys()].map((i) => ({
    prompt: `${i % 5_000} ${'lorem ipsum dolor sit amet '.repeat(4)}`,
    model_a: `model-${i % 7}`,
    model_b: 'other',
    winner: 'tie',
  }))
  const lines = rows.map((row) => JSON.stringify({ ...row, note }))
  lines[3_000] = '{"broken'
  lines.splice(4_000, 0, '')
  const good = rows.filter((_, i) => i !== 3_000)
  const bytes = parquetWriteBuffer({
    columnData: COLUMNS.map((name) => ({ name, data: good.map((row) => row[name]) })),
  })
  const folder = await scratch({
    'a.jsonl': lines.join('\n'),
    'b.parquet': new Uint8Array(bytes),
  })
  const out = (name: string): string => join(folder, name)
  const first = await ingest([out('a.jsonl')], { out: out('one'), seed: 1 })
  await ingest([out('b.parquet')], { out: out('two'), seed: 1 })
  expect(first.manifest.rows).toEqual({ read: 6_000, kept: 5_999, rejected: 1, duplicates: 0 })
  expect(JSON.parse(await readFile(first.rejectsPath!, 'utf8')).line).toBe(3_001)
  for (const file of ['prompts.arrow', 'splits.arrow', 'preferences.arrow']) {
    const one = await readFile(join(out('one'), file))
    expect(one.equals(await readFile(join(out('two'), file)))).toBe(true)
  }
  await rm(folder, { recursive: true })
})
