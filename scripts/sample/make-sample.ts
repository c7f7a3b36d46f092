import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { logText, modelsText, preferenceText, summaryOf, thumbsText, truthText } from './files.ts'
import { simulate } from './simulator.ts'

/** Rewrites data/sample from its seed: `npx tsx scripts/sample/make-sample.ts [folder]`. */
export const SAMPLE_SEED = 20
export const SAMPLE_OUTCOMES = 5000
export const SAMPLE_PREFERENCES = 5000

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? fileURLToPath(new URL('../../data/sample', import.meta.url))
  const sample = simulate(SAMPLE_OUTCOMES, SAMPLE_PREFERENCES, SAMPLE_SEED)
  const summary = summaryOf(sample, SAMPLE_SEED)
  const pack = (name: string, text: string): void =>
    writeFileSync(join(folder, name), gzipSync(text, { level: 9 }))
  pack('outcomes.jsonl.gz', logText(sample.outcomes))
  pack('preferences.jsonl.gz', preferenceText(sample.preferences))
  pack('thumbs.jsonl.gz', thumbsText(sample.thumbs))
  pack('models.jsonl.gz', modelsText(sample.models))
  pack('truth.jsonl.gz', truthText(sample))
  writeFileSync(join(folder, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`)
  console.log(JSON.stringify(summary, null, 2))
}
