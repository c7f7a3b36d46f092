import { takeRows } from '../../models/embeddings.ts'
import type { Family, HeadWeights } from '../../models/family.ts'
import { scoreLinear } from '../../models/linear-head.ts'
import { apgr, costQualityCurve, wholeGain } from '../evaluate/curve.ts'
import { sortScores } from '../evaluate/score-order.ts'
import type { TrainerInput } from '../trainer.ts'
import { pairRows } from './pair-rows.ts'

/** Rows that are scored after every epoch at the most. */
const WATCHED = 1_000

/**
 * What a head's APGR on validation is, for a person who watches it train; it decides nothing. Undefined where
 * the strong model is not the better one there.
 */
export function validationApgr(
  family: Family,
  input: Pick<TrainerInput, 'validation' | 'models' | 'strong' | 'weak'>,
): (tensors: HeadWeights['tensors']) => number | undefined {
  const { rows, y } = pairRows(input.validation, input)
  const embeddings = takeRows(input.validation.embeddings, rows.subarray(0, WATCHED))
  const gain = y.subarray(0, WATCHED).map((value) => 2 * value - 1)
  return (tensors) => {
    const weights = { models: input.models, tensors }
    const folded = family.fold?.(weights, input)
    const { winRate } = folded
      ? scoreLinear(folded, embeddings)
      : family.forward(weights, input, embeddings)
    const curve = costQualityCurve(sortScores(winRate), gain)
    return wholeGain(curve) > 0 ? apgr(curve) : undefined
  }
}
