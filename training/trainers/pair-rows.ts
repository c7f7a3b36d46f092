import type { TrainerInput, TrainingRows } from './trainer.ts'

/**
 * Rows of a split on which the pair was observed or its missing score estimated, with y = (1 + s - w) / 2 or the
 * pair's share of votes. An estimated y may lie outside [0, 1]; log-loss is linear in y, so its mean is right.
 */
export interface PairRows {
  readonly rows: Int32Array
  readonly y: Float64Array
}

export function pairRows(
  { embeddings, outcomes, preferences }: TrainingRows,
  { models, strong, weak }: Pick<TrainerInput, 'models' | 'strong' | 'weak'>,
): PairRows {
  const m = models.length
  const sum = new Float64Array(embeddings.rows)
  const votes = new Float64Array(embeddings.rows)
  for (let i = 0; i < (preferences?.prompt.length ?? 0); i++) {
    const { modelA, modelB, label, weight, prompt } = preferences!
    const forward = modelA[i] === strong && modelB[i] === weak
    if (!forward && !(modelA[i] === weak && modelB[i] === strong)) continue
    sum[prompt[i]!]! += weight[i]! * (forward ? label[i]! : 1 - label[i]!)
    votes[prompt[i]!]! += weight[i]!
  }
  const rows: number[] = []
  const y: number[] = []
  const scores = outcomes?.completed ?? outcomes?.scores
  for (let row = 0; row < embeddings.rows; row++) {
    const gain = scores ? scores[row * m + strong]! - scores[row * m + weak]! : Number.NaN
    const label = Number.isNaN(gain) ? sum[row]! / votes[row]! : (1 + gain) / 2
    if (Number.isNaN(label)) continue
    rows.push(row)
    y.push(label)
  }
  return { rows: Int32Array.from(rows), y: Float64Array.from(y) }
}

/** Log-loss of the win rates (one per row of the split) on every observed row. */
export function winRateLosses(winRate: Float64Array, { rows, y }: PairRows): Float64Array {
  return Float64Array.from(rows, (row, i) => {
    const p = Math.min(Math.max(winRate[row]!, 1e-6), 1 - 1e-6)
    return -y[i]! * Math.log(p) - (1 - y[i]!) * Math.log(1 - p)
  })
}

export function winRateLoss(winRate: Float64Array, labels: PairRows): number {
  const losses = winRateLosses(winRate, labels)
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
}
