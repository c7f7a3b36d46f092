import { WeirError } from '../../core/errors.ts'
import type { Bound } from './certificate.ts'
import { harm, netLoss } from './expected.ts'
import { type CalibrationRows, gainOf } from './rows.ts'
import { describeTarget, type ThresholdTarget } from './target.ts'

/** A promise as a statement about a mean: the values of `at(threshold)` average at most `allowed`. */
export interface PromisedLoss {
  /** n values in [low, high] */
  at(threshold: number): Float64Array
  readonly allowed: number
  readonly low: number
  readonly high: number
  readonly bound: Bound
  readonly confidence: number
}

/** The statement behind a target with a confidence. Weights turn each value into w * (value - allowed). */
export function promisedLoss(rows: CalibrationRows, target: ThresholdTarget): PromisedLoss {
  const loss = plainLoss(rows, target)
  const { weight } = rows
  if (!weight) return loss
  let ceiling = 0
  for (let i = 0; i < weight.length; i++) ceiling = Math.max(ceiling, weight[i]!)
  return {
    ...loss,
    at: (threshold) => loss.at(threshold).map((value, i) => weight[i]! * (value - loss.allowed)),
    allowed: 0,
    low: ceiling * (loss.low - loss.allowed),
    high: ceiling * (loss.high - loss.allowed),
  }
}

/** Harm is about single prompts, of which estimates say nothing. Throws `calibration_needs`. */
export function refuseHarm({ offPolicy }: CalibrationRows, target: ThresholdTarget): void {
  if (!offPolicy) return
  throw new WeirError('calibration_needs', {
    target: describeTarget(target),
    needed:
      offPolicy.estimator === 'prediction-powered'
        ? `labels of people on every calibration prompt: a judge that ${offPolicy.labels} labels correct shows how much is lost on average (--max-loss) but not on how many prompts`
        : `prompts that both models answered: ${offPolicy.single} of the calibration prompts were answered by one only, which shows how much is lost on average (--max-loss) but not on how many prompts`,
  })
}

function plainLoss(rows: CalibrationRows, target: ThresholdTarget): PromisedLoss {
  const gain = gainOf(rows, target)
  const { offPolicy } = rows
  // a prompt that stays with the strong model loses 0
  const low = Math.min(0, offPolicy?.gain_low ?? -1)
  const high = Math.max(0, offPolicy?.gain_high ?? 1)
  const confidence = 'confidence' in target ? target.confidence : undefined
  if (confidence === undefined) throw new TypeError(`a ${target.kind} target without a confidence`)
  switch (target.kind) {
    case 'match':
    case 'max-loss': {
      const allowed = target.kind === 'match' ? target.within : target.loss
      return {
        at: (threshold) => netLoss(rows, threshold),
        allowed,
        low,
        high,
        bound: { quantity: 'net loss', value: allowed, confidence },
        confidence,
      }
    }
    case 'max-harm':
      refuseHarm(rows, target)
      return {
        at: (threshold) => harm(rows, threshold),
        allowed: target.harm,
        low: 0,
        high: 1,
        bound: { quantity: 'harm', value: target.harm, confidence },
        confidence,
      }
    case 'quality': {
      // PGR >= p  <=>  E[gain * (1[weak] - (1 - p))] <= 0, if the gap is positive
      const spare = 1 - target.pgr
      const limit = Math.max(target.pgr, spare) * Math.max(-low, high)
      return {
        at: (threshold) =>
          gain.map((value, i) => value * ((rows.winRate[i]! >= threshold ? 0 : 1) - spare)),
        allowed: 0,
        low: -limit,
        high: limit,
        bound: { quantity: 'PGR', value: target.pgr, confidence },
        confidence,
      }
    }
    default:
      throw new TypeError(`a ${target.kind} target bounds no loss`)
  }
}
