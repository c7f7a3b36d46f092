import type { Family, HeadWeights } from '../../models/family.ts'
import { scoreLinear } from '../../models/linear-head.ts'
import { apgr, costQualityCurve, wholeGain } from '../evaluate/curve.ts'
import { sortScores } from '../evaluate/score-order.ts'
import type { TrainerInput } from '../trainer.ts'
import { pairRows } from './pair-rows.ts'

/**
 * What a head's APGR on validation is, for a person who watches it train; it decides nothing. Undefined where
 * the strong model is not the better one there.
 */
export function validationApgr(
  family: Family,
  input: Pick<TrainerInput, 'validation' | 'models' | 'strong' | 'weak'>,
): (tensors: HeadWeights['tensors']) => number | undefined {
  const { rows, y } = pairRows(input.validation, input)
  const gain = y.map((value) => 2 * value - 1)
  return (tensors) => {
    const weights = { models: input.models, tensors }
    const { embeddings } = input.validation
    const folded = family.fold?.(weights, input)
    const { winRate } = folded
      ? scoreLinear(folded, embeddings)
      : family.forward(weights, input, embeddings)
    const curve = costQualityCurve(
      sortScores(Float64Array.from(rows, (row) => winRate[row]!)),
      gain,
    )
    return wholeGain(curve) > 0 ? apgr(curve) : undefined
  }
}
