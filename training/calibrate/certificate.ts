import { createHash } from 'node:crypto'
import Type from 'typebox'
import { definedOnly } from '../../core/defined.ts'
import { Expected } from './expected.ts'
import { ProbabilityReport } from './probability/report.ts'
import { OffPolicy } from './rows.ts'
import { Target } from './target.ts'

/** Where the calibration rows came from, and what was left out of them. */
export const CalibrationData = Type.Object({
  sources: Type.Array(
    Type.Object({ path: Type.String(), sha256: Type.String(), rows: Type.Integer() }),
  ),
  /** SHA-256 over the hashes of the calibration prompts, sorted */
  sha256: Type.String(),
  /** rows left out, by reason */
  left_out: Type.Record(Type.String(), Type.Integer()),
})
export type CalibrationData = Type.Static<typeof CalibrationData>

/**
 * Strength of a promise. `confidence`: the bound holds except in a share 1 - confidence of calibrations;
 * `expectation`: it holds on average over calibrations; `estimate`: there is no bound, only intervals.
 */
export type PromiseKind = 'confidence' | 'expectation' | 'estimate'

/** The bounded figure and its limit: an upper limit, or a lower one for PGR and shares. */
export interface Bound {
  readonly quantity:
    | 'net loss'
    | 'harm'
    | 'PGR'
    | 'dollars per 1,000 requests'
    | 'share of the best model’s quality'
  readonly value: number
  readonly confidence?: number
}

/** How the number (a threshold, or a rule's number) was chosen. */
export interface HowChosen {
  readonly method: string
  readonly promise: PromiseKind
  readonly bound?: Bound
  /** how many numbers passed in sequence, if the method tests a sequence */
  readonly tested?: number
  /** what must be true for the bound to hold, in words */
  readonly assumptions: readonly string[]
}

/** What a certificate records about a calibration, besides its result. */
export interface CalibrationRecord {
  readonly seed: number
  /** where the rows' dollars come from, in words */
  readonly costBasis?: string | undefined
  readonly data?: CalibrationData | undefined
  /** ISO 8601; not part of the bundle's version */
  readonly date?: string | undefined
}

/** Fields that the certificates of thresholds and of rules have in common. */
export interface Promised extends Omit<HowChosen, 'assumptions'> {
  readonly target: Target
  readonly assumptions: string[]
  /** calibration prompts */
  readonly n: number
  readonly seed: number
  readonly cost_basis?: string
  readonly data?: CalibrationData
  readonly date?: string
}

/** The part of a certificate that is the same for every kind of decision. */
export function promisedBy(
  { seed, costBasis, data, date }: CalibrationRecord,
  target: Target,
  { method, promise, bound, tested, assumptions }: HowChosen,
  n: number,
): Promised {
  return definedOnly({
    target,
    method,
    promise,
    bound,
    n,
    tested,
    seed,
    assumptions: [...assumptions],
    cost_basis: costBasis || undefined,
    data,
    date: date || undefined,
  })
}

/** What a threshold's calibration promised, and how: kept in the bundle's manifest beside the threshold. */
export const Certificate = Type.Object({
  target: Target,
  method: Type.String(),
  promise: Type.Union([
    Type.Literal('confidence'),
    Type.Literal('expectation'),
    Type.Literal('estimate'),
  ]),
  bound: Type.Optional(
    Type.Object({
      quantity: Type.String(),
      value: Type.Number(),
      confidence: Type.Optional(Type.Number()),
    }),
  ),
  /** calibration prompts */
  n: Type.Integer({ minimum: 1 }),
  /** effective number of rows after re-weighting towards the target prompts */
  effective_n: Type.Optional(Type.Number()),
  /** number of unlabelled prompts on which shares were computed */
  unlabelled_n: Type.Optional(Type.Integer()),
  /** number of thresholds that passed in sequence */
  tested: Type.Optional(Type.Integer()),
  seed: Type.Integer(),
  assumptions: Type.Array(Type.String()),
  /** where the dollars come from */
  cost_basis: Type.Optional(Type.String()),
  /** present if the rows are estimates from prompts that one model answered */
  off_policy: Type.Optional(OffPolicy),
  expected: Expected,
  /** win rates of the prompts that shares refer to, evenly spaced; `weir drift` compares with them */
  win_rate_quantiles: Type.Array(Type.Number()),
  /** result of the probability calibration made with it */
  probability: Type.Optional(ProbabilityReport),
  data: Type.Optional(CalibrationData),
  /** ISO 8601; not part of the bundle's version */
  date: Type.Optional(Type.String()),
})
export type Certificate = Type.Static<typeof Certificate>

/** Identifies the data by the hashes of its prompts, regardless of the files they came in. */
export function calibrationData(
  sources: CalibrationData['sources'],
  promptHashes: readonly string[],
  leftOut: Readonly<Record<string, number>>,
): CalibrationData {
  const digest = createHash('sha256')
  for (const hash of [...promptHashes].sort()) digest.update(hash)
  return {
    sources: sources.map(({ path, sha256, rows }) => ({ path, sha256, rows })),
    sha256: digest.digest('hex'),
    left_out: leftOut,
  }
}
