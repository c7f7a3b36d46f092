import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { figureTable } from '../figures.ts'

/**
 * `weir data ingest --query` on ten million scored calls in Parquet, aggregated to one million rows; and one
 * million rows of Parquet through a query that selects them all, against Weir's own reader. Each runs in a process
 * of its own, on the build (`npm run build`), to measure its peak memory.
 */

interface Run {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakMb: number
}

/** Ten calls per prompt and model; a prompt has about 130 characters. */
async function writeCalls(folder: string, rows: number): Promise<{ calls: string; mean: string }> {
  const calls = join(folder, 'calls.parquet')
  const mean = join(folder, 'mean.parquet')
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '1GB' })
  const connection = await instance.connect()
  await connection.run(
    `copy (
       select 'question ' || (i % ${rows / 20}) || ': ' || repeat(md5((i % ${rows / 20})::text) || ' ', 3) as prompt,
         case when (i // ${rows / 20}) % 2 = 0 then 'big' else 'small' end as model,
         (hash(i) % 2)::double as score, 0.001 as cost
       from range(${rows}) t(i)) to '${calls}' (format parquet)`,
  )
  await connection.run(`copy (${aggregated(calls)}) to '${mean}' (format parquet)`)
  connection.closeSync()
  instance.closeSync()
  return { calls, mean }
}

const aggregated = (path: string): string =>
  `select prompt, model, avg(score) as score, avg(cost) as cost from read_parquet('${path}') group by all`

function measure(job: 'ingest' | 'query', what: string, out: string): Run {
  const child = fileURLToPath(new URL('./ingest-child.mjs', import.meta.url))
  const { stdout, stderr, status } = spawnSync(process.execPath, [child, job, what, out], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${job} failed: ${stderr}`)
  return JSON.parse(stdout) as Run
}

const { values } = parseArgs({ options: { rows: { type: 'string', default: '10000000' } } })
const rows = Number(values.rows)
const folder = await mkdtemp(join(tmpdir(), 'weir-bench-'))
try {
  const { calls, mean } = await writeCalls(folder, rows)
  const all = `select * from read_parquet('${mean}')`
  const out = join(folder, 'dataset')
  const runs = {
    aggregated: measure('query', aggregated(calls), out),
    query: measure('query', all, out),
    reader: measure('ingest', mean, out),
  }
  for (const [name, { seconds, cpuSeconds, peakMb }] of Object.entries(runs)) {
    process.stdout.write(
      `${name.padEnd(10)} ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} s of CPU, peak ${Math.round(peakMb)} MB\n`,
    )
  }
  const { query, reader, aggregated: aggregate } = runs
  process.stdout.write(
    `${figureTable({
      rows,
      aggregated_peak_mb: aggregate.peakMb,
      aggregated_vs_reader_cpu: aggregate.cpuSeconds / reader.cpuSeconds,
      query_vs_reader_cpu: query.cpuSeconds / reader.cpuSeconds,
      query_vs_reader_peak: query.peakMb / reader.peakMb,
    })}\n`,
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}
