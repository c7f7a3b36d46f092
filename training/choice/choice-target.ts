import Type from 'typebox'
import type { PromisedLoss } from '../calibrate/losses.ts'
import type { ModelTable } from './log-table.ts'

const Share = Type.Number({ minimum: 0, maximum: 1 })
const Confidence = Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1 })

/**
 * What a rule among many models is set for. The best model is the one in the bundle's strong role; losses and
 * qualities are in score units.
 */
export const ChoiceTarget = Type.Union([
  /** the most quality for at most so much */
  Type.Object({
    kind: Type.Literal('budget'),
    usd_per_1k: Type.Number({ exclusiveMinimum: 0 }),
    confidence: Confidence,
  }),
  /** the least cost that keeps this share of the best model's quality */
  Type.Object({
    kind: Type.Literal('best-share'),
    share: Share,
    confidence: Type.Optional(Confidence),
  }),
  /** the least cost that keeps this share of the gap between the weak and the strong model */
  Type.Object({
    kind: Type.Literal('quality'),
    pgr: Share,
    confidence: Type.Optional(Confidence),
  }),
  /** the least cost with at most this net quality loss against the best model */
  Type.Object({ kind: Type.Literal('max-loss'), loss: Share, confidence: Confidence }),
])
export type ChoiceTarget = Type.Static<typeof ChoiceTarget>

const percent = (value: number): string => `${Number((value * 100).toPrecision(6))}%`

/** The target in words. */
export function describeChoiceTarget(target: ChoiceTarget): string {
  const sure = target.confidence === undefined ? '' : ` at ${percent(target.confidence)} confidence`
  switch (target.kind) {
    case 'budget':
      return `at most $${target.usd_per_1k} per 1,000 requests${sure}`
    case 'best-share':
      return `${percent(target.share)} of the best model’s quality${sure}`
    case 'quality':
      return `${percent(target.pgr)} of the quality gap kept${sure}`
    case 'max-loss':
      return `a net quality loss of at most ${target.loss}${sure}`
  }
}

/** Which columns of a table are the bundle's pair. */
export interface RoleColumns {
  readonly strong: number
  readonly weak: number
}

/** The target as a statement on a mean, and the values that it is a mean of. */
export interface Statement extends Omit<PromisedLoss, 'at' | 'confidence'> {
  /** of the models chosen for the table's rows; n values in [low, high] */
  readonly values: (choices: ArrayLike<number>) => Float64Array
  readonly confidence: number | undefined
}

/** @param costCeiling no request costs more, in US dollars */
export function statementOf(
  target: ChoiceTarget,
  { scores, costs, models, rows }: ModelTable,
  { strong, weak }: RoleColumns,
  costCeiling: number,
): Statement {
  const m = models.length
  const { confidence } = target
  const sure = confidence === undefined ? {} : { confidence }
  const mapped = (choices: ArrayLike<number>, of: (at: number, chosen: number) => number) =>
    Float64Array.from({ length: rows }, (_, i) => of(i * m, scores[i * m + choices[i]!]!))
  switch (target.kind) {
    case 'budget':
      return {
        values: (choices) =>
          Float64Array.from({ length: rows }, (_, i) => costs[i * m + choices[i]!]!),
        allowed: target.usd_per_1k / 1000,
        low: 0,
        high: costCeiling,
        bound: { quantity: 'dollars per 1,000 requests', value: target.usd_per_1k, ...sure },
        confidence,
      }
    case 'max-loss':
      return {
        values: (choices) => mapped(choices, (at, chosen) => scores[at + strong]! - chosen),
        allowed: target.loss,
        low: -1,
        high: 1,
        bound: { quantity: 'net loss', value: target.loss, ...sure },
        confidence,
      }
    case 'best-share':
      // quality >= share x best  <=>  E[share x s_best - s_chosen] <= 0
      return {
        values: (choices) =>
          mapped(choices, (at, chosen) => target.share * scores[at + strong]! - chosen),
        allowed: 0,
        low: -1,
        high: target.share,
        bound: { quantity: 'share of the best model’s quality', value: target.share, ...sure },
        confidence,
      }
    case 'quality':
      // PGR >= p  <=>  E[w + p (s - w) - s_chosen] <= 0, where the gap is positive
      return {
        values: (choices) =>
          mapped(choices, (at, chosen) => {
            const from = scores[at + weak]!
            return from + target.pgr * (scores[at + strong]! - from) - chosen
          }),
        allowed: 0,
        low: -1,
        high: 1,
        bound: { quantity: 'PGR', value: target.pgr, ...sure },
        confidence,
      }
  }
}
