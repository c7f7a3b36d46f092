import { spawnSync } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { fileWriter, parquetWriteRows } from 'hyparquet-writer'
import { createRandom } from '../../../core/random.ts'
import { figureTable } from '../figures.ts'

/**
 * `weir data ingest` on one million generated preference rows, compared with a bare loop that splits lines
 * and parses JSON, and the same rows in Parquet. Each runs in a separate process, to measure its peak memory.
 */

interface Run {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakMb: number
}

const WORDS =
  'please write explain the a of to and in function table summary why how does it work when model sort list customer email translate short poem error stack proof number integral river history of city compare two plans weekly budget for small team with python query index slow'.split(
    ' ',
  )

export interface GeneratedRow {
  readonly prompt: string
  readonly response_a: string
  readonly response_b: string
  readonly model_a: string
  readonly model_b: string
  readonly winner: string
}

/** Readable noise: every fourth prompt is a repeat, and answers have the length of short answers. */
export function* generateRows(rows: number, seed: number): Generator<GeneratedRow> {
  const random = createRandom(seed)
  const text = (words: number): string => {
    let made = WORDS[random.int(WORDS.length)]!
    for (let i = 1; i < words; i++) made += ` ${WORDS[random.int(WORDS.length)]!}`
    return made
  }
  // Texts come from a stock: generating a million would take longer than reading them.
  const stock = Array.from({ length: 5000 }, () => text(55))
  const piece = (): string => stock[random.int(stock.length)]!
  const recent: string[] = []
  for (let i = 0; i < rows; i++) {
    const fresh = i < 100 || random.next() > 0.25
    const prompt = fresh
      ? `${piece().slice(0, 30 + random.int(250))} ${i} ${piece().slice(0, random.int(200))}?`
      : recent[random.int(recent.length)]!
    if (fresh) recent[recent.length < 1000 ? recent.length : random.int(1000)] = prompt
    const a = random.int(20)
    yield {
      prompt,
      response_a: piece(),
      response_b: piece(),
      model_a: `model-${a}`,
      model_b: `model-${(a + 1 + random.int(19)) % 20}`,
      winner: ['model_a', 'model_b', 'tie', 'tie (bothbad)'][random.int(4)]!,
    }
  }
}

async function writeJsonLines(path: string, rows: number): Promise<void> {
  async function* blocks(): AsyncGenerator<string> {
    let block = ''
    for (const row of generateRows(rows, 1)) {
      block += `${JSON.stringify(row)}\n`
      if (block.length > 1 << 20) {
        yield block
        block = ''
      }
    }
    yield block
  }
  await pipeline(blocks, createWriteStream(path))
}

/** Uses the build, because users run it, and because tsx would be measured too. */
function build(): void {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  spawnSync(npm, ['run', 'build'], { cwd: fileURLToPath(new URL('../../..', import.meta.url)) })
}

function measure(job: 'bare' | 'ingest', path: string): Run {
  const child = fileURLToPath(new URL('./ingest-child.mjs', import.meta.url))
  const args = [child, job, path, `${path}.dataset`]
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${job} failed: ${stderr}`)
  return JSON.parse(stdout) as Run
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      rows: { type: 'string', default: '1000000' },
      dir: { type: 'string' },
      /** leave Parquet out */
      jsonl: { type: 'boolean', default: false },
    },
  })
  const rows = Number(values.rows)
  const folder = values.dir ?? (await mkdtemp(join(tmpdir(), 'weir-bench-')))
  await mkdir(folder, { recursive: true })
  try {
    const lines = join(folder, `rows-${rows}.jsonl`)
    const parquet = join(folder, `rows-${rows}.parquet`)
    const held = await readdir(folder)
    if (!held.includes(`rows-${rows}.jsonl`)) await writeJsonLines(lines, rows)
    if (!values.jsonl && !held.includes(`rows-${rows}.parquet`)) {
      await writePreferencesParquet(parquet, generateRows(rows, 1))
    }
    build()
    const runs: Record<string, Run> = {}
    const jobs = [
      ['bare', 'bare', lines],
      ['jsonl', 'ingest', lines],
      ...(values.jsonl ? [] : [['parquet', 'ingest', parquet] as const]),
    ] as const
    for (const [name, job, path] of jobs) {
      const run = measure(job, path)
      runs[name] = run
      if (!values.json) {
        const { seconds, cpuSeconds, peakMb } = run
        const mb = (await stat(path)).size / 1e6
        process.stdout.write(
          `${name.padEnd(8)} ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} s of CPU, ${Math.round(rows / seconds)} rows/s, ${Math.round(mb / seconds)} MB/s, peak ${Math.round(peakMb)} MB\n`,
        )
      }
    }
    const { bare, jsonl } = runs as Record<'bare' | 'jsonl', Run>
    const columnar = runs.parquet
    const figures = {
      ingest_vs_json_parse: bare.seconds / jsonl.seconds,
      ingest_vs_json_parse_cpu: bare.cpuSeconds / jsonl.cpuSeconds,
      peak_mb: jsonl.peakMb,
      ...(columnar && {
        parquet_vs_jsonl: jsonl.seconds / columnar.seconds,
        parquet_peak_mb: columnar.peakMb,
      }),
    }
    if (values.json) process.stdout.write(`${JSON.stringify({ rows, runs, figures })}\n`)
    else process.stdout.write(`${figureTable(figures)}\n`)
  } finally {
    if (!values.dir) await rm(folder, { recursive: true, force: true })
  }
}

const COLUMNS = ['prompt', 'response_a', 'response_b', 'model_a', 'model_b', 'winner']

/** Writes preference rows as Parquet (snappy), 50,000 per row group, with one group in memory at a time. */
async function writePreferencesParquet<T extends object>(
  path: string,
  rows: Iterable<T>,
): Promise<void> {
  await parquetWriteRows({
    writer: fileWriter(path),
    rows: rows as Iterable<Record<string, unknown>>,
    rowGroupSize: 50_000,
    columns: COLUMNS.map((name) => ({ name, type: 'STRING' as const })),
  })
}

await main()
