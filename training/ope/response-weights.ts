import { hashText, unitInterval } from '../../core/hash.ts'
import { deriveSeed } from '../../core/random.ts'
import type { DecisionRecord } from '../../records/decision-record.ts'
import { FOLDS } from './cross-fit.ts'
import { propensityAuc } from './overlap.ts'
import { LEAST_RESPONSE, LEAST_SINGLE, RESPONSE_EDGE } from './pair-estimates.ts'
import { recalibrated } from './recalibrate.ts'

const ASSUMPTION =
  'whether an answer is rated depends on its model, win rate and time, and not on how good it is beyond what these tell'

/** Which decisions are rated, and what is assumed of the others. */
export interface ResponseReport {
  readonly rated: number
  readonly unrated: number
  /** how well it can be told which are rated: 0.5 is chance */
  readonly auc: number
  /** the least probability of a rating among the rows that count */
  readonly least: number
  /** rated decisions left out because ones like them are rated less than a tenth as often as all */
  readonly rare: number
  readonly assumption: string
}

export interface ResponseWeights {
  readonly report: ResponseReport
  /** one per rated decision, of mean 1 over those that count; 0 where ratings are too rare */
  readonly weight: Float64Array
}

/**
 * How many decisions each rated one stands for: 1 / the probability that a decision of its model, win rate and time
 * is rated, by a cross-fitted logistic regression per model.
 *
 * @returns undefined with fewer than 50 unrated decisions: the rated ones are then taken for all
 */
export async function responseWeights(
  rated: readonly DecisionRecord[],
  unrated: readonly DecisionRecord[],
): Promise<ResponseWeights | undefined> {
  if (rated.length === 0 || unrated.length < LEAST_SINGLE) return undefined
  const all = [...rated, ...unrated]
  const labels = Float64Array.from(all, (_, i) => (i < rated.length ? 1 : 0))
  const probability = new Float64Array(all.length)
  const fold = foldsOf(all)
  const columns = columnsOf(all)
  for (const model of new Set(rated.map((one) => one.model))) {
    const rows = Array.from(all.keys()).filter((i) => all[i]!.model === model)
    const found = await recalibrated(columns, labels, rows, fold, { edge: RESPONSE_EDGE })
    for (const i of rows) probability[i] = found[i]!
  }
  const least = (LEAST_RESPONSE * rated.length) / all.length
  const weight = Float64Array.from(rated, (_, i) =>
    probability[i]! >= least ? 1 / probability[i]! : 0,
  )
  const kept = weight.filter((w) => w > 0)
  const mean = kept.reduce((sum, w) => sum + w, 0) / kept.length
  return {
    weight: weight.map((w) => w / mean),
    report: {
      rated: rated.length,
      unrated: unrated.length,
      auc: propensityAuc(probability, Uint8Array.from(labels)),
      least: 1 / kept.reduce((most, w) => Math.max(most, w), 0),
      rare: rated.length - kept.length,
      assumption: ASSUMPTION,
    },
  }
}

/** The win rate and the place in the log, each with its square: ratings may be rarest or most frequent between. */
function columnsOf(all: readonly DecisionRecord[]): Float64Array[] {
  const winRate = Float64Array.from(all, (one) => one.base_win_rate ?? one.win_rate!)
  const order = Array.from(all.keys()).sort((a, b) => all[a]!.time - all[b]!.time)
  const place = new Float64Array(all.length)
  for (const [at, i] of order.entries()) place[i] = at / all.length - 0.5
  return [winRate, winRate.map((w) => (w - 0.5) ** 2), place, place.map((t) => t * t)]
}

/** By prompt, so that copies of one share a fold. */
function foldsOf(all: readonly DecisionRecord[]): Uint8Array {
  const hash = new Uint32Array(2)
  const seed = deriveSeed(0, 'response')
  return Uint8Array.from(all, (one) => {
    hashText(one.prompt_hash, seed, hash)
    return Math.floor(unitInterval(hash) * FOLDS)
  })
}
