import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { logText, summaryOf, truthText } from './sample/files.ts'
import { simulate } from './sample/simulator.ts'

/** Rewrites data/sample from its seed: `npx tsx scripts/make-sample.ts [folder]`. */
export const SAMPLE_SEED = 20
export const SAMPLE_ROWS = 5000

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? fileURLToPath(new URL('../data/sample', import.meta.url))
  const rows = simulate(SAMPLE_ROWS, SAMPLE_SEED)
  const summary = summaryOf(rows, SAMPLE_SEED)
  writeFileSync(join(folder, 'outcomes.jsonl.gz'), gzipSync(logText(rows), { level: 9 }))
  writeFileSync(join(folder, 'truth.jsonl.gz'), gzipSync(truthText(rows), { level: 9 }))
  writeFileSync(join(folder, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`)
  console.log(JSON.stringify(summary, null, 2))
}
