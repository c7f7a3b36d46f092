import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tableFromArrays, tableToIPC } from 'apache-arrow'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { expect, test } from 'vitest'
import { readLogs } from '../../data/ingest.ts'
import { readCsv } from '../../data/source/csv.ts'
import { COLUMNS_MAX } from '../../data/source/lines.ts'
import { scratch } from './scratch.ts'

/** CPU time of this process in seconds, and what the work returned. */
async function cpuOf<T>(work: () => Promise<T>): Promise<{ seconds: number; result: T }> {
  const before = process.cpuUsage()
  const result = await work()
  const { user, system } = process.cpuUsage(before)
  return { seconds: (user + system) / 1e6, result }
}

async function csvRecords(text: string) {
  const bytes = async function* () {
    yield Buffer.from(text)
  }
  const records = []
  for await (const batch of readCsv(bytes(), { delimiter: ',', before: 0 })) records.push(...batch)
  return records
}

test('columns of one name are all kept, in time linear in their number', async () => {
  const [first] = await csvRecords('a,b,a,a.1,a\n1,2,3,4,5\n')
  expect(first).toMatchObject({ record: { a: '1', b: '2', 'a.1': '3', 'a.1.1': '4', 'a.2': '5' } })
  const names = 'a,'.repeat(COLUMNS_MAX - 1)
  const { seconds, result } = await cpuOf(() => csvRecords(`${names}a\n${names}z\n`))
  const wide = result[0]
  if (!wide || !('record' in wide)) throw new Error('expected a record')
  expect(Object.keys(wide.record)).toHaveLength(COLUMNS_MAX)
  expect(wide.record[`a.${COLUMNS_MAX - 1}`]).toBe('z')
  // 2.5 s where each name was compared with all before it
  expect(seconds).toBeLessThan(1)
})

const names = Array.from({ length: COLUMNS_MAX + 1 }, (_, i) => `c${i}`)

test.each([
  [
    'wide.parquet',
    () =>
      new Uint8Array(
        parquetWriteBuffer({ columnData: names.map((name) => ({ name, data: [1] })) }),
      ),
  ],
  [
    'wide.arrow',
    () => tableToIPC(tableFromArrays(Object.fromEntries(names.map((name) => [name, [1]]))), 'file'),
  ],
])(
  '%s with more columns than anybody has is refused, in time linear in their number',
  async (name, make) => {
    const path = join(await scratch(), name)
    await writeFile(path, make())
    const { seconds } = await cpuOf(async () => {
      const reading = readLogs([path], { seed: 1, rejectsPath: `${path}.rejects` })
      await expect(reading).rejects.toThrow(
        `expected at most ${COLUMNS_MAX} columns, got ${names.length}`,
      )
    })
    expect(seconds).toBeLessThan(2)
  },
)

test.each([
  ['wide.csv', `${'a,'.repeat(400_000)}\n1,2\n`],
  ['wide.jsonl', `{${Array.from({ length: 50_000 }, (_, i) => `"k${i}":1`).join(',')}}\n`],
])('a table of more columns than anybody has is refused: %s', async (name, text) => {
  const path = join(await scratch(), name)
  await writeFile(path, text)
  const reading = readLogs([path], { seed: 1, rejectsPath: `${path}.rejects` })
  await expect(reading).rejects.toThrow(`expected at most ${COLUMNS_MAX} columns, got`)
})

test('a table whose header does not end is refused, in little time', async () => {
  const blanks = ' '.repeat(8_000_000)
  // 4 s where the parser looked for the line end at every byte
  const { seconds, result } = await cpuOf(() => csvRecords(blanks))
  expect(result).toEqual([
    { line: 1, field: '(header)', reason: 'expected a line end within 1048576 bytes, got none' },
  ])
  expect(seconds).toBeLessThan(1.5)
  const [late] = await csvRecords(`${blanks}\na,b\n`)
  expect(late).toMatchObject({ field: '(header)' })
  expect(await csvRecords(`${' '.repeat(1_000_000)}a\n1\n`)).toMatchObject([{ record: { a: '1' } }])
})
