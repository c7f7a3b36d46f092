import { readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { describe, expect, test } from 'vitest'
import { ingest, readLogs } from '../../data/ingest.ts'
import { jsonl, refusal, scratch } from './scratch.ts'

const ANSWERS = [...Array(400).keys()].map((i) => ({
  prompt: `what is ${i % 40}`,
  model: i % 2 ? 'big' : 'small',
  score: i % 3 === 0 ? 0 : 1,
  cost: 0.01,
}))

const parquet = (rows: typeof ANSWERS): Uint8Array =>
  new Uint8Array(
    parquetWriteBuffer({
      columnData: (['prompt', 'model', 'score', 'cost'] as const).map((name) => ({
        name,
        data: rows.map((row) => row[name]),
      })),
    }),
  )

const query = (sql: string) => readLogs([], { seed: 1, query: { sql } })

describe('--query', () => {
  test('aggregates a glob of Parquet files before anything enters the dataset', async () => {
    const folder = await scratch({
      'a.parquet': parquet(ANSWERS.slice(0, 200)),
      'b.parquet': parquet(ANSWERS.slice(200)),
    })
    const data = await query(
      `select prompt, model, avg(score) as score, sum(cost) as cost
       from read_parquet('${folder}/*.parquet') group by all order by all`,
    )
    expect(data.manifest.rows).toMatchObject({ read: 40, kept: 40, rejected: 0 })
    expect(data.models).toEqual(['big', 'small'])
    expect(data.manifest.sources).toEqual([
      {
        path: '(query)',
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        rows: 40,
        format: 'long',
      },
    ])
    expect([...data.outcomes!.costs!.subarray(0, 2)]).toEqual([Number.NaN, expect.closeTo(0.1, 6)])
  })

  test('joins files, and gives maps, structs, lists and JSON as objects and lists', async () => {
    const folder = await scratch({
      'calls.jsonl': jsonl(ANSWERS.slice(0, 40).map((one, id) => ({ ...one, id }))),
      'votes.csv': `id,vote\n${[...Array(40).keys()].map((id) => `${id},${id % 2}`).join('\n')}\n`,
    })
    const data = await query(
      `select [{'role': 'user', 'content': prompt}] as prompt, map([model], [vote::double]) as scores,
         '{"big": 0.5, "small": 0.25}'::json as costs
       from read_json('${folder}/calls.jsonl') c join read_csv('${folder}/votes.csv') v on c.id = v.id
       order by c.id`,
    )
    expect(data.prompts.slice(0, 2)).toEqual(['what is 0', 'what is 1'])
    expect(data.models).toEqual(['big', 'small'])
    expect([...data.outcomes!.scores.subarray(0, 4)]).toEqual([Number.NaN, 0, 1, Number.NaN])
  })

  test('refuses bad rows by their number in the result', async () => {
    const folder = await scratch()
    const rejectsPath = join(folder, 'r.jsonl')
    const sql = `select 'p' || i as prompt, 'm' as model, case when i = 7 then 3 else 1 end as score
      from range(50) t(i) order by i`
    await readLogs([], { seed: 1, query: { sql }, maxRejects: 1, rejectsPath })
    expect(JSON.parse(await readFile(rejectsPath, 'utf8'))).toMatchObject({
      file: '(query)',
      line: 8,
      field: 'score',
    })
  })

  test.each([
    ['create table x (a int)', 'SELECT'],
    ["copy (select 1) to 'x.csv'", 'SELECT'],
    ['select 1; select 2', 'one SELECT, got 2'],
    ['', 'one SELECT, got 0'],
    ['select nothing from nowhere', 'nowhere'],
    ["select * from read_parquet('/nowhere/*.parquet')", 'No files found'],
    ["select * from read_parquet('s3://bucket/x.parquet')", 'httpfs'],
  ])('%s is refused', async (sql, reason) => {
    expect((await refusal(query(sql), 'query_failed')).message).toContain(reason)
  })

  test('stops when it is told to, and leaves no temporary folder', async () => {
    const before = await ours()
    const controller = new AbortController()
    const sql = 'select count(*) as n, a.i from range(30000000) a(i) group by a.i order by n'
    const folder = await scratch()
    const work = ingest([], {
      out: join(folder, 'd'),
      seed: 1,
      query: { sql },
      signal: controller.signal,
    })
    setTimeout(() => controller.abort(), 50)
    await refusal(work, 'cancelled')
    expect(await ours()).toEqual(before)
    expect(await readdir(folder)).toEqual([])
  })
})

const ours = async (): Promise<string[]> =>
  (await readdir(tmpdir())).filter((name) => name.startsWith('weir-query-'))
