import { stat } from 'node:fs/promises'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { firstFault } from '../../core/schema-fault.ts'
import { readJsonLines } from '../../data/source/jsonl.ts'
import { openSource } from '../../data/source/source.ts'
import type { FeedbackRecord, GatewayRecord } from '../../records/decision-record.ts'
import { feedbackWithinKeyShare } from '../../records/feedback/key-share.ts'
import { latestFeedback } from '../../records/feedback/store.ts'
import { readDecisionLog } from '../../records/log-reader.ts'

const Score = Type.Number({ minimum: 0, maximum: 1 })
const Dollars = Type.Optional(Type.Number({ minimum: 0 }))

/** One answer of a cascade's weak model: the score of its check, and how good both models' answers were. */
export const CascadeRow = Type.Object({
  score: Score,
  weak: Type.Optional(Score),
  strong: Type.Optional(Score),
  /** US dollars of each model's answer; an escalated request costs both */
  weak_usd: Dollars,
  strong_usd: Dollars,
  /** in a decision log: whether the threshold of that time let it pass */
  passed: Type.Optional(Type.Boolean()),
})
export type CascadeRow = Type.Static<typeof CascadeRow>

export interface CascadeLog {
  readonly rows: readonly CascadeRow[]
  /** the check that gave these scores; undefined for rows that do not come from a decision log */
  readonly check: string | undefined
  /** number of answers that the check could not score */
  readonly unscored: number
}

export interface CascadeLogOptions {
  /** needed if a log has scores of several checks */
  readonly check?: string | undefined
  readonly model?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Reads rows for calibrating a cascade: JSONL of `score`, `weak` and `strong`, or a folder or file written by
 * `weir serve --log`, whose feedback contains how good the answers were.
 *
 * @throws file_not_found, row_invalid, option_invalid
 */
export async function readCascadeLog(
  path: string,
  options: CascadeLogOptions = {},
): Promise<CascadeLog> {
  if (await isWeirLog(path, options.signal)) return readServed(path, options)
  const rows: CascadeRow[] = []
  for await (const { value, line } of records(path, options.signal)) {
    if (shape.Check(value)) rows.push(value)
    else {
      const { field, expected, got } = firstFault(shape.Errors(value), value)
      throw invalid(path, line, field || '(row)', `expected ${expected}, got ${got}`)
    }
  }
  return { rows, check: undefined, unscored: 0 }
}

async function* records(
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ readonly value: unknown; readonly line: number }> {
  const source = await openSource(path, signal)
  for await (const batch of readJsonLines(source.chunks())) {
    for (const item of batch) {
      if (!('record' in item)) throw invalid(path, item.line, item.field, item.reason)
      yield { value: item.record, line: item.line }
    }
  }
}

const invalid = (path: string, line: number, field: string, reason: string): WeirError =>
  new WeirError('row_invalid', { path, line, field, reason })

const shape = Compile(CascadeRow)

async function isWeirLog(path: string, signal: AbortSignal | undefined): Promise<boolean> {
  const entry = await stat(path).catch(() => undefined)
  if (!entry) throw new WeirError('file_not_found', { path })
  if (entry.isDirectory()) return true
  for await (const { value } of records(path, signal)) {
    return typeof value === 'object' && value !== null && 'object' in value
  }
  return false
}

async function readServed(
  path: string,
  { check, model, signal }: CascadeLogOptions,
): Promise<CascadeLog> {
  const served: GatewayRecord[] = []
  const feedback: FeedbackRecord[] = []
  for await (const { record } of readDecisionLog(path, undefined, signal)) {
    if (record.object === 'feedback') feedback.push(record)
    else if (record.object === 'gateway' && record.checks) served.push(record)
  }
  const words = new Map<string, FeedbackRecord[]>()
  for (const word of latestFeedback(feedbackWithinKeyShare(feedback))) {
    words.set(word.decision_id, [...(words.get(word.decision_id) ?? []), word])
  }
  const graded = served.flatMap(({ checks = [] }) =>
    checks.filter(({ threshold }) => threshold !== undefined),
  )
  const name = namedOrOnly('--check', check, new Set(graded.map((one) => one.check)))
  const its = graded.filter((one) => one.check === name)
  const weak = namedOrOnly('--model', model, new Set(its.map((one) => one.model)))
  const rows = served.flatMap((record) => {
    const about = [...(words.get(record.id) ?? []), ...(words.get(record.decision_id ?? '') ?? [])]
    return rowOf(record, name, weak, about) ?? []
  })
  const unscored = its.filter((one) => one.model === weak && one.score === null).length
  return { rows, check: name, unscored }
}

/** The value that was asked for, or the only one in the log. */
function namedOrOnly(
  option: string,
  asked: string | undefined,
  known: ReadonlySet<string>,
): string {
  const [only] = known
  if (asked === undefined && known.size === 1 && only !== undefined) return only
  if (asked !== undefined && known.has(asked)) return asked
  throw new WeirError('option_invalid', {
    option,
    expected: `one of ${[...known].join(', ') || '(the log has no scores of checks)'}`,
    got: asked ?? 'nothing',
  })
}

function rowOf(
  record: GatewayRecord,
  check: string,
  weak: string,
  about: readonly FeedbackRecord[],
): CascadeRow | undefined {
  const found = record.checks?.find((one) => one.check === check && one.model === weak)
  const strong = record.targets[record.targets.indexOf(weak) + 1]
  if (!found || found.score === null || strong === undefined) return undefined
  const scoreOf = (model: string): number | undefined => {
    const scores = about
      .filter((word) => (word.model ?? record.model) === model)
      .map(({ score }) => score)
    return scores.length > 0 ? scores.reduce((sum, one) => sum + one, 0) / scores.length : undefined
  }
  return {
    score: found.score,
    passed: found.passed,
    ...given('weak', scoreOf(weak)),
    ...given('strong', scoreOf(strong)),
  }
}

const given = <K extends string>(key: K, value: number | undefined): { [key in K]?: number } =>
  (value === undefined ? {} : { [key]: value }) as { [key in K]?: number }
