import { createHash } from 'node:crypto'
import Type from 'typebox'
import { definedOnly } from '../../core/defined.ts'
import { Expected } from './expected.ts'
import { ProbabilityReport } from './probability/report.ts'
import { Target } from './target.ts'

/** Where the calibration rows came from, and what was left out of them. */
export const CalibrationData = Type.Object({
  sources: Type.Array(
    Type.Object({ path: Type.String(), sha256: Type.String(), rows: Type.Integer() }),
  ),
  /** SHA-256 over the hashes of the calibration prompts, sorted */
  sha256: Type.String(),
  /** rows left out, by why */
  left_out: Type.Record(Type.String(), Type.Integer()),
})
export type CalibrationData = Type.Static<typeof CalibrationData>

/**
 * What is promised: `confidence` that the bound holds in all but that share of calibrations,
 * `expectation` that it holds on average over them, `estimate` nothing beyond the intervals.
 */
export type PromiseKind = 'confidence' | 'expectation' | 'estimate'

/** The figure that is bounded; an upper limit, for PGR and a share a lower one. */
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

/** How the number of a threshold or a rule was chosen. */
export interface HowChosen {
  readonly method: string
  readonly promise: PromiseKind
  readonly bound?: Bound
  /** numbers that passed in sequence, where the method tests a sequence */
  readonly tested?: number
  /** what must be true for the bound to hold, in words */
  readonly assumptions: readonly string[]
}

/** What a certificate records of a calibration beside its result. */
export interface CalibrationRecord {
  readonly seed: number
  /** where the rows' dollars come from, in words */
  readonly costBasis?: string | undefined
  readonly data?: CalibrationData | undefined
  /** ISO 8601; not part of the bundle's version */
  readonly date?: string | undefined
}

/** What every certificate says, of a threshold's calibration as of a rule's. */
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
  /** what they are worth after re-weighting towards the target prompts */
  effective_n: Type.Optional(Type.Number()),
  /** unlabelled prompts that the shares are of */
  unlabelled_n: Type.Optional(Type.Integer()),
  /** thresholds that passed in sequence */
  tested: Type.Optional(Type.Integer()),
  seed: Type.Integer(),
  assumptions: Type.Array(Type.String()),
  /** where the dollars come from */
  cost_basis: Type.Optional(Type.String()),
  expected: Expected,
  /** of the prompts the shares are of, evenly spaced: what `weir drift` compares with */
  win_rate_quantiles: Type.Array(Type.Number()),
  /** what the probability calibration made with it did */
  probability: Type.Optional(ProbabilityReport),
  data: Type.Optional(CalibrationData),
  /** ISO 8601; not part of the bundle's version */
  date: Type.Optional(Type.String()),
})
export type Certificate = Type.Static<typeof Certificate>

/** Names the data by its prompts, whatever files they came in. */
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
