/**
 * Reads a generated promptfoo export of 100 MB (one JSON document) in bounded memory, and fails if rows are
 * missing or memory is over the bound:
 *
 *     npx tsx scripts/bench/data/large-json.ts [rows]
 */
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ingest } from '../../../data/ingest.ts'

const MEMORY_MB = 500

function* results(rows: number): Generator<string> {
  const filler = 'He said "the {quick} [brown] fox", and left.\n'.repeat(20)
  yield '{\n  "evalId": "eval-1",\n  "results": {\n    "version": 3,\n    "results": [\n'
  for (let i = 0; i < rows; i++) {
    const raw = `Question ${i >> 1}: what is ${i >> 1} plus ${(i * 7) % 13}? ${filler}`
    const result = {
      ...{ promptIdx: 0, testIdx: i >> 1, provider: { id: i % 2 ? 'big' : 'small' } },
      prompt: { raw, label: raw },
      response: { output: filler, tokenUsage: { completion: 10 } },
      ...{ score: Number(i % 3 > 0), success: i % 3 > 0, cost: 0.001, failureReason: 0 },
    }
    yield `${i > 0 ? ',\n' : ''}${JSON.stringify(result, null, 2)}`
  }
  yield '\n    ],\n    "timestamp": "2026-01-01T00:00:00Z"\n  },\n  "config": {}\n}\n'
}

const rows = Number(process.argv[2] ?? 33_000)
const folder = await mkdtemp(join(tmpdir(), 'weir-large-json-'))
try {
  const path = join(folder, 'results.json')
  await pipeline(Readable.from(results(rows)), createWriteStream(path))
  const started = performance.now()
  const { manifest } = await ingest([path], { out: join(folder, 'dataset'), seed: 1 })
  const seconds = (performance.now() - started) / 1000
  const memory = process.resourceUsage().maxRSS / 1024
  const megabytes = (await stat(path)).size / 1e6
  console.log(
    `${megabytes.toFixed(0)} MB, ${manifest.rows.kept} rows: ${seconds.toFixed(1)} s, ${memory.toFixed(0)} MB at the peak`,
  )
  if (manifest.rows.kept !== rows || memory > MEMORY_MB) {
    throw new Error(`expected ${rows} rows within ${MEMORY_MB} MB`)
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
