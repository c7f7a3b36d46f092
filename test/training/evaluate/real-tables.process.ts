import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { parse } from 'csv-parse/sync'
import { describe, expect, test } from 'vitest'
import { evaluateRouters } from '../../../training/evaluate/evaluate-routers.ts'

const folder = process.env.WEIR_DATA ?? '../shared/data'
const present = existsSync(join(folder, 'routellm-mmlu.csv.gz'))

/** The figures measured on RouteLLM's own tables before this code was written; error = one standard error. */
describe.skipIf(!present)('RouteLLM outcome tables (needs ../shared/data or WEIR_DATA)', () => {
  test.each([
    { table: 'mmlu', rows: 11_332, length: 0.584, oracle: 1.28, error: 0.011 },
    { table: 'gsm8k', rows: 1_037, length: 0.598, oracle: 1.12, error: 0.021 },
  ])('prompt length and the oracle on $table', async ({ table, rows, length, oracle, error }) => {
    const records = parse(gunzipSync(readFileSync(join(folder, `routellm-${table}.csv.gz`))), {
      columns: true,
    }) as Record<string, string>[]
    const scores = (model: string) =>
      Float32Array.from(records, (record) => (record[model] === 'True' ? 1 : 0))
    const strong = scores('gpt-4-1106-preview')
    const weak = scores('mistralai/Mixtral-8x7B-Instruct-v0.1')
    const report = await evaluateRouters({
      routers: [{ name: 'constant', winRate: new Float64Array(records.length) }],
      prompts: records.map((record) => record.prompt!),
      categories: records.map((record) => record.category),
      labels: { strong, weak, y: strong.map((s, i) => (1 + s - weak[i]!) / 2) },
      seed: 1,
      replicates: 100,
    })
    expect(report.rows).toBe(rows)
    expect(Math.abs(report.baselines.prompt_length!.apgr.value! - length)).toBeLessThan(error)
    expect(Math.abs(report.baselines.oracle!.apgr.value! - oracle)).toBeLessThan(2 * error)
    expect(report.baselines.random!.apgr.value).toBe(0.5)
    expect(report.routers[0]!.apgr.value).toBeCloseTo(0.5, 12)
    const seeded = report.baselines.random_seeded!.apgr
    expect(seeded.value).toBeGreaterThan(report.baselines.random!.apgr.low! - error)
    expect(seeded.value).toBeLessThan(report.baselines.random!.apgr.high! + error)
  })
})
