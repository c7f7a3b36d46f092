import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readLogs } from '../../data/ingest.ts'
import { pairGain } from '../../data/inspect/pair-gain.ts'

/** Where the real logs lie. */
const FOLDER = process.env.WEIR_DATA ?? join(process.cwd(), '../shared/data')

describe.skipIf(!existsSync(FOLDER))('real logs (needs ../shared/data or WEIR_DATA)', () => {
  test.each([
    ['routellm-mmlu.csv.gz', 11_332, 2],
    ['routellm-gsm8k.csv.gz', 1_037, 2],
    ['mmlu-pro.jsonl.gz', 9_716, 33],
    ['alpaca-eval-preferences.jsonl.gz', 70_951, 93],
    ['pandalm-human-preferences.jsonl.gz', 791, 5],
    ['arena-bench-scores.jsonl.gz', 302, 15],
  ])('%s: %i rows of %i models, none refused', async (name, rows, models) => {
    const data = await readLogs([join(FOLDER, name)], { seed: 1 })
    expect(data.manifest.rows).toEqual({ read: rows, kept: rows, rejected: 0, duplicates: 0 })
    expect(data.models).toHaveLength(models)
  })

  test('the oracle on MMLU is the one known', async () => {
    const data = await readLogs([join(FOLDER, 'routellm-mmlu.csv.gz')], { seed: 1 })
    const pair = pairGain(data, 'gpt-4-1106-preview', 'mistralai/Mixtral-8x7B-Instruct-v0.1')
    expect(pair.oracle!.apgr).toBeCloseTo(1.28, 1)
  })
})
