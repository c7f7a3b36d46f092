/** A contender's loss on each row all of them were judged on. */
export interface Contender {
  readonly name: string
  readonly losses: ArrayLike<number>
}

export interface Standing {
  readonly name: string
  readonly loss: number
  /** mean loss above the best one's, and the standard error of that difference, both paired by row */
  readonly above: number
  readonly error: number
  readonly chosen: boolean
}

/**
 * The one-standard-error rule (Hastie, Tibshirani and Friedman 2009, sec. 7.10) with paired errors: of the
 * contenders, simplest first, the first whose mean loss is within one standard error of the least.
 */
export function standings(contenders: readonly Contender[]): Standing[] {
  const means = contenders.map(({ losses }) => mean(losses))
  const best = means.reduce((least, loss, i) => (loss < means[least]! ? i : least), 0)
  let found = false
  return contenders.map(({ name, losses }, i) => {
    const other = contenders[best]!.losses
    const differences = Float64Array.from(losses, (loss, row) => loss - other[row]!)
    const above = mean(differences)
    const variance = mean(differences.map((difference) => (difference - above) ** 2))
    const error = Math.sqrt(variance / Math.max(differences.length - 1, 1))
    const chosen = !found && above <= error
    found ||= chosen
    return { name, loss: means[i]!, above, error, chosen }
  })
}

function mean(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum / Math.max(values.length, 1)
}
