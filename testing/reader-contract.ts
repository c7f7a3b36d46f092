import { expect } from 'vitest'
import { createPlacer } from '../data/rows/placer.ts'
import type { LeftOut, LogRow, RawRecord, Reader, Reject } from '../data/rows/reader.ts'

export interface ReaderCase {
  readonly reader: Reader
  /** records of the layout, all good */
  readonly records: readonly RawRecord[]
  /** what they are: `prompt | a > b`, `prompt | a = b`, or `prompt | model score, ...` */
  readonly rows: readonly string[]
  /** a change to the first record, and the field that it is refused for */
  readonly bad: readonly { readonly change: RawRecord; readonly field: string }[]
}

/** What every reader promises. */
export function checkReader({ reader, records, rows, bad }: ReaderCase): void {
  const columns = new Set(records.flatMap((record) => Object.keys(record)))
  expect(reader.recognises(columns, records)).toBe(true)
  for (const column of reader.required) expect([...columns]).toContain(column)
  for (const column of reader.columns?.(columns) ?? []) expect([...columns]).toContain(column)
  const place = createPlacer(reader, {
    path: 'log',
    format: reader.name,
    columns,
    sample: records,
    decisions: new Map(),
  })
  const read = (record: RawRecord, line: number) => {
    const made: (LogRow | Reject | LeftOut)[] = []
    place({ record, line }, (row) => made.push(row))
    return made
  }
  expect(records.flatMap(read).map(describedRow)).toEqual(rows)
  for (const { change, field } of bad) {
    const last = records.length - 1
    const refused = read({ ...records[last], ...change }, 7).filter(({ kind }) => kind === 'reject')
    expect([change, refused[0]]).toEqual([
      change,
      {
        kind: 'reject',
        origin: expect.objectContaining({ path: 'log', line: 7 }),
        field,
        reason: expect.any(String),
      },
    ])
  }
}

/** A row on one line, as `ReaderCase.rows` has it. */
export function describedRow(row: LogRow | Reject | LeftOut): string {
  if (row.kind === 'left_out') return `left out: ${row.reason}`
  if (row.kind === 'reject') return `refused: ${row.field}: ${row.reason}`
  const prompt = typeof row.prompt === 'string' ? row.prompt : JSON.stringify(row.prompt)
  if (row.kind === 'outcome') {
    return `${prompt} | ${[...row.scores].map(([model, score]) => `${model} ${score}`).join(', ')}`
  }
  const { modelA, modelB } = row
  const sign = { a: '>', b: '<', tie: '=', both_bad: '!' }[row.winner]
  return `${prompt} | ${modelA} ${sign} ${modelB}`
}
