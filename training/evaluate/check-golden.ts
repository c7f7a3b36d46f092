import { WeirError } from '../../models/errors.ts'
import type { Router } from '../../models/router.ts'
import { modelOf } from './bundle-set.ts'
import type { GoldenBounds, GoldenFile } from './golden.ts'
import { meanInterval, ratioInterval } from './sample-mean.ts'

/** One thing that was asked of the router. */
export interface GoldenCase {
  readonly name: string
  readonly line: number
  /** absent where it passed */
  readonly failure?: string
}

export interface GoldenResult {
  readonly router: { readonly name: string; readonly version: string }
  readonly threshold: number
  readonly path: string
  readonly passed: number
  readonly failed: number
  readonly cases: readonly GoldenCase[]
}

/** Rules on where prompts go, for CI: every expectation and bound of the file against the bundle's own threshold. */
export async function checkGolden(
  router: Router,
  golden: GoldenFile,
  signal?: AbortSignal,
): Promise<GoldenResult> {
  const { manifest } = router
  const threshold = manifest.threshold.value
  const { winRate } = await router.score(
    golden.prompts.map(({ text }) => text),
    signal,
  )
  const models = { strong: modelOf(router, 'strong'), weak: modelOf(router, 'weak') }
  const cases = [
    ...promptCases(golden, winRate, threshold, models),
    ...golden.bounds.flatMap((rule) => boundCases(golden, rule, winRate, threshold, models)),
  ]
  const failed = cases.filter(({ failure }) => failure).length
  return {
    router: { name: manifest.name, version: manifest.version },
    threshold,
    path: golden.path,
    passed: cases.length - failed,
    failed,
    cases,
  }
}

interface Models {
  readonly strong: string
  readonly weak: string
}

function promptCases(
  golden: GoldenFile,
  winRate: Float64Array,
  threshold: number,
  models: Models,
): GoldenCase[] {
  return golden.prompts.flatMap((row, i) => {
    const { expect, min_win_rate: least, max_win_rate: most, line } = row
    if (expect === undefined && least === undefined && most === undefined) return []
    const rate = winRate[i]!
    const faults: string[] = []
    if (expect !== undefined) {
      const wanted = expectedModel(golden.path, line, expect, models)
      const got = rate >= threshold ? models.strong : models.weak
      if (wanted !== got) faults.push(`expected ${wanted}, got ${got}`)
    }
    if (least !== undefined && rate < least) faults.push(`expected a win rate of at least ${least}`)
    if (most !== undefined && rate > most) faults.push(`expected a win rate of at most ${most}`)
    const name = row.id ?? shortened(row.text)
    if (faults.length === 0) return [{ name, line }]
    const where = `win rate ${rate.toFixed(4)}, threshold ${threshold.toFixed(4)}`
    return [{ name, line, failure: `${faults.join('; ')} (${where})` }]
  })
}

function expectedModel(path: string, line: number, expect: string, models: Models): string {
  if (expect === 'strong' || expect === 'weak') return models[expect]
  if (expect === models.strong || expect === models.weak) return expect
  throw new WeirError('row_invalid', {
    path,
    line,
    field: 'expect',
    reason: `expected strong, weak, ${models.strong} or ${models.weak}, got ${expect}`,
  })
}

function boundCases(
  golden: GoldenFile,
  { bounds, category, id, line }: GoldenBounds & { readonly line: number },
  winRate: Float64Array,
  threshold: number,
  models: Models,
): GoldenCase[] {
  const rows = Array.from(golden.prompts.keys()).filter(
    (i) => category === undefined || golden.prompts[i]!.category === category,
  )
  if (rows.length === 0) {
    throw new WeirError('row_invalid', {
      path: golden.path,
      line,
      field: 'category',
      reason: `expected the category of some prompt, got ${category}`,
    })
  }
  const sent = rows.filter((i) => winRate[i]! >= threshold).length
  const share = sent / rows.length
  const of = `${sent} of ${rows.length} prompts, ${(100 * share).toFixed(1)}%, go to ${models.strong}`
  const where = category === undefined ? '' : ` in ${category}`
  const rule = (name: string, limit: number, failure: string | undefined): GoldenCase => ({
    name: `${id ? `${id}: ` : ''}${name} ${limit}${where}`,
    line,
    ...(failure && { failure }),
  })
  const { max_strong_share: most, min_strong_share: least, min_pgr: pgr } = bounds
  return [
    ...(most === undefined ? [] : [rule('max_strong_share', most, share > most ? of : undefined)]),
    ...(least === undefined
      ? []
      : [rule('min_strong_share', least, share < least ? of : undefined)]),
    ...(pgr === undefined
      ? []
      : [rule('min_pgr', pgr, pgrFailure(golden, line, rows, winRate, threshold, models, pgr))]),
  ]
}

function pgrFailure(
  golden: GoldenFile,
  line: number,
  rows: readonly number[],
  winRate: Float64Array,
  threshold: number,
  { strong, weak }: Models,
  least: number,
): string | undefined {
  const scored = rows.flatMap((i) => {
    const { scores } = golden.prompts[i]!
    const s = scores?.[strong]
    const w = scores?.[weak]
    return s === undefined || w === undefined
      ? []
      : [{ gain: s - w, sent: winRate[i]! >= threshold }]
  })
  const gains = scored.map(({ gain }) => gain)
  const gap = meanInterval(gains)
  if (gap.value === null || !(gap.value > 0)) {
    throw new WeirError('row_invalid', {
      path: golden.path,
      line,
      field: 'bounds.min_pgr',
      reason: `expected prompts with scores of ${strong} and ${weak}, the first better on average; got ${scored.length} with scores of both`,
    })
  }
  const pgr = ratioInterval(
    scored.map(({ gain, sent }) => (sent ? gain : 0)),
    gains,
  )
  if (pgr.value! >= least) return undefined
  return `PGR ${pgr.value!.toFixed(3)} [${pgr.low!.toFixed(3)}, ${pgr.high!.toFixed(3)}] on ${scored.length} prompts with scores`
}

const shortened = (text: string): string => {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > 80 ? `${line.slice(0, 77)}...` : line
}
