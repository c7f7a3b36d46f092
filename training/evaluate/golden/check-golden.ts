import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../../core/errors.ts'
import { firstFault } from '../../../core/schema-fault.ts'
import { ratioInterval, sampleMeanInterval } from '../../../core/stats/intervals.ts'
import { readJsonLines } from '../../../data/source/jsonl.ts'
import { openSource } from '../../../data/source/source.ts'
import { ChatMessage } from '../../../models/reading/messages.ts'
import { transcript } from '../../../models/reading/transcript.ts'
import type { Router } from '../../../models/router.ts'
import { modelOf } from '../log/bundle-set.ts'

/** Result of one check of a golden file. */
export interface GoldenCase {
  readonly name: string
  readonly line: number
  /** absent if it passed */
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

/** Checks the rules of a golden file, for CI: every expectation and bound, at the bundle's threshold. */
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
  const gap = sampleMeanInterval(gains)
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
    undefined,
    0.95,
  )
  if (pgr.value >= least) return undefined
  return `PGR ${pgr.value.toFixed(3)} [${pgr.low.toFixed(3)}, ${pgr.high.toFixed(3)}] on ${scored.length} prompts with scores`
}

const shortened = (text: string): string => {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > 80 ? `${line.slice(0, 77)}...` : line
}

const Unit = Type.Number({ minimum: 0, maximum: 1 })

/** A line about one prompt: which model it must go to, and its allowed win rate. Scores count towards `min_pgr`. */
export const GoldenPrompt = Type.Object(
  {
    id: Type.Optional(Type.String()),
    prompt: Type.Union([Type.String({ minLength: 1 }), Type.Array(ChatMessage, { minItems: 1 })]),
    expect: Type.Optional(
      Type.String({ minLength: 1, description: '`strong`, `weak` or the name of a model' }),
    ),
    min_win_rate: Type.Optional(Unit),
    max_win_rate: Type.Optional(Unit),
    category: Type.Optional(Type.String()),
    scores: Type.Optional(Type.Record(Type.String(), Unit)),
  },
  { additionalProperties: false },
)
export type GoldenPrompt = Type.Static<typeof GoldenPrompt>

/** A line about all prompts of the file, or about those of one category. */
export const GoldenBounds = Type.Object(
  {
    id: Type.Optional(Type.String()),
    category: Type.Optional(Type.String()),
    bounds: Type.Object(
      {
        min_strong_share: Type.Optional(Unit),
        max_strong_share: Type.Optional(Unit),
        min_pgr: Type.Optional(Type.Number()),
      },
      { additionalProperties: false, minProperties: 1 },
    ),
  },
  { additionalProperties: false },
)
type GoldenBounds = Type.Static<typeof GoldenBounds>

interface Placed {
  readonly line: number
}

interface GoldenFile {
  readonly path: string
  readonly prompts: readonly (GoldenPrompt & Placed & { readonly text: string })[]
  readonly bounds: readonly (GoldenBounds & Placed)[]
}

const checkPrompt = Compile(GoldenPrompt)
const checkBounds = Compile(GoldenBounds)

/** Reads a golden file into memory. A line that fits neither kind is an error with its file, line and field. */
export async function readGolden(path: string, signal?: AbortSignal): Promise<GoldenFile> {
  const prompts: GoldenFile['prompts'][number][] = []
  const bounds: GoldenFile['bounds'][number][] = []
  const source = await openSource(path, signal)
  for await (const batch of readJsonLines(source.chunks())) {
    for (const item of batch) {
      const { line } = item
      if (!('record' in item)) {
        throw new WeirError('row_invalid', { path, line, field: item.field, reason: item.reason })
      }
      const { record } = item
      const check = 'bounds' in record ? checkBounds : checkPrompt
      if (!check.Check(record)) {
        const { field, expected, got } = firstFault(check.Errors(record), record)
        throw new WeirError('row_invalid', {
          path,
          line,
          field,
          reason: `expected ${expected}, got ${got}`,
        })
      }
      if ('bounds' in record) bounds.push({ ...(record as GoldenBounds), line })
      else {
        const row = record as GoldenPrompt
        prompts.push({ ...row, line, text: transcript(row.prompt) })
      }
    }
  }
  if (prompts.length === 0) {
    throw new WeirError('rows_too_few', { expected: 1, what: `with a prompt in ${path}`, got: 0 })
  }
  return { path, prompts, bounds }
}
