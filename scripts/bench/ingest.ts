/**
 * One million generated preference rows: `weir data ingest` against a bare loop that splits lines and
 * parses JSON, and the same rows in Parquet. Each runs in a process of its own, so that its peak memory is its own.
 */
import { spawnSync } from 'node:child_process'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ingest } from '../../data/ingest.ts'
import { createRandom } from '../../models/random.ts'
import { writePreferencesParquet } from './ingest-parquet.ts'

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

/** Readable noise: every fourth prompt is a repeat, answers as long as short answers are. */
export function* generateRows(rows: number, seed: number): Generator<GeneratedRow> {
  const random = createRandom(seed)
  const text = (words: number): string => {
    let made = WORDS[random.int(WORDS.length)]!
    for (let i = 1; i < words; i++) made += ` ${WORDS[random.int(WORDS.length)]!}`
    return made
  }
  const recent: string[] = []
  for (let i = 0; i < rows; i++) {
    const fresh = i < 100 || random.next() > 0.25
    const prompt = fresh ? `${text(8 + random.int(80))}?` : recent[random.int(recent.length)]!
    if (fresh) recent[recent.length < 1000 ? recent.length : random.int(1000)] = prompt
    const a = random.int(20)
    yield {
      prompt,
      response_a: text(55),
      response_b: text(55),
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

/** What it is measured against: every line cut out and parsed, nothing kept. */
async function bareLoop(path: string): Promise<number> {
  let rows = 0
  let rest: Buffer = Buffer.alloc(0)
  const stream = createReadStream(path, { highWaterMark: 1 << 18 })
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
    let start = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      const row = JSON.parse(bytes.toString('utf8', start, end)) as GeneratedRow
      if (row.prompt) rows++
      start = end + 1
    }
    rest = bytes.subarray(start)
  }
  return rows
}

async function child(job: string, path: string): Promise<void> {
  const started = performance.now()
  const cpu = process.cpuUsage()
  if (job === 'bare') await bareLoop(path)
  else await ingest([path], { out: `${path}.${job}.dataset`, seed: 1 })
  const used = process.cpuUsage(cpu)
  const run: Run = {
    seconds: (performance.now() - started) / 1000,
    cpuSeconds: (used.user + used.system) / 1e6,
    peakMb: process.resourceUsage().maxRSS / 1024,
  }
  process.stdout.write(JSON.stringify(run))
}

function measure(job: string, path: string): Run {
  const self = fileURLToPath(import.meta.url)
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [...process.execArgv, self, '--child', job, '--path', path],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`${job} failed: ${stderr}`)
  return JSON.parse(stdout) as Run
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      rows: { type: 'string', default: '1000000' },
      dir: { type: 'string' },
      child: { type: 'string' },
      path: { type: 'string' },
    },
  })
  if (values.child) return child(values.child, values.path!)
  const rows = Number(values.rows)
  const folder = values.dir ?? (await mkdtemp(join(tmpdir(), 'weir-bench-')))
  await mkdir(folder, { recursive: true })
  try {
    const lines = join(folder, `rows-${rows}.jsonl`)
    const parquet = join(folder, `rows-${rows}.parquet`)
    const held = await readdir(folder)
    if (!held.includes(`rows-${rows}.jsonl`)) await writeJsonLines(lines, rows)
    if (!held.includes(`rows-${rows}.parquet`)) {
      await writePreferencesParquet(parquet, generateRows(rows, 1))
    }
    const runs: Record<string, Run> = {}
    for (const [job, path] of [
      ['bare', lines],
      ['jsonl', lines],
      ['parquet', parquet],
    ] as const) {
      runs[job] = measure(job, path)
      if (!values.json) {
        const { seconds, cpuSeconds, peakMb } = runs[job]
        const mb = (await stat(path)).size / 1e6
        process.stdout.write(
          `${job.padEnd(8)} ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} s of CPU, ${Math.round(rows / seconds)} rows/s, ${Math.round(mb / seconds)} MB/s, peak ${Math.round(peakMb)} MB\n`,
        )
      }
    }
    const { bare, jsonl, parquet: columnar } = runs as Record<'bare' | 'jsonl' | 'parquet', Run>
    const figures = {
      ingest_vs_json_parse: bare.seconds / jsonl.seconds,
      ingest_vs_json_parse_cpu: bare.cpuSeconds / jsonl.cpuSeconds,
      parquet_vs_jsonl: jsonl.seconds / columnar.seconds,
      peak_mb: jsonl.peakMb,
      parquet_peak_mb: columnar.peakMb,
    }
    if (values.json) process.stdout.write(`${JSON.stringify({ rows, runs, figures })}\n`)
    else
      for (const [name, value] of Object.entries(figures))
        console.log(`${name}: ${value.toFixed(2)}`)
  } finally {
    if (!values.dir) await rm(folder, { recursive: true, force: true })
  }
}

await main()
