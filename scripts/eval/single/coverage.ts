import type { OnProgress } from '../../../core/progress.ts'
import { createRandom, deriveSeed } from '../../../core/random.ts'
import { pairLabels } from '../../../data/pair.ts'
import { measureRouters } from '../../../training/evaluate/bootstrap/measure-routers.ts'
import {
  costQualityCurve,
  gainAtShare,
  wholeGain,
} from '../../../training/evaluate/metrics/curve.ts'
import { GRID_STEPS } from '../../../training/evaluate/metrics/curve-points.ts'
import { operatingPoint } from '../../../training/evaluate/metrics/operating-point.ts'
import { sortScores } from '../../../training/evaluate/metrics/score-order.ts'
import { errorFloor } from '../../../training/ope/error-floor.ts'
import { singleEvidence } from '../../../training/ope/sensitivity.ts'
import { type Assignment, type Pool, singleLogOf } from './worlds.ts'

const SHARES = [0.2, 0.5, 0.8]
const REPLICATES = 200

export interface Coverage {
  readonly repeats: number
  /** share of the intervals that contain the pool's figure, at SHARES */
  readonly pgr: number[]
  readonly quality: number[]
  /** root mean squared error of the PGR curve over repeats and strong shares */
  readonly curveRmse: number
  /** mean absolute error of strong minus weak, ours and that of the plain means of each model's answers */
  readonly gapError: number
  readonly naiveError: number
}

/** Logs drawn from the pool with replacement, judged as `weir evaluate` does, against the paired figures of the pool. */
export async function coverageOf(
  pool: Pool,
  assignment: Assignment,
  { repeats, rows, seed }: { repeats: number; rows: number; seed: number },
  onProgress: OnProgress,
): Promise<Coverage> {
  const n = pool.winRate.length
  const gain = pool.strong.map((s, i) => s - pool.weak[i]!)
  const curve = costQualityCurve(sortScores(pool.winRate), gain)
  const truth = Float64Array.from(
    { length: GRID_STEPS + 1 },
    (_, step) => gainAtShare(curve, step / GRID_STEPS) / wholeGain(curve),
  )
  const sorted = pool.winRate.toSorted().reverse()
  const thresholds = SHARES.map((share) => sorted[Math.floor(share * n)]!)
  const qualities = thresholds.map(
    (threshold) =>
      pool.winRate.reduce(
        (sum, w, i) => sum + (w >= threshold ? pool.strong[i]! : pool.weak[i]!),
        0,
      ) / n,
  )
  const pgr = [0, 0, 0]
  const quality = [0, 0, 0]
  let [squares, gapError, naiveError] = [0, 0, 0]
  for (let repeat = 0; repeat < repeats; repeat++) {
    onProgress({ stage: `${pool.set.name}: ${assignment.name}`, done: repeat, total: repeats })
    const own = deriveSeed(seed, `${assignment.name} ${repeat}`)
    const random = createRandom(own)
    const drawn = Int32Array.from({ length: rows }, () => random.int(n))
    const log = await singleLogOf(pool, drawn, assignment, own)
    const labels = pairLabels(log, pool.set.strong, pool.set.weak)
    const gains = Float64Array.from(labels.strong!, (s, i) => s - labels.weak![i]!)
    const winRate = Float64Array.from(labels.prompt, (row) => pool.winRate[drawn[row]!]!)
    const value = gains.reduce((sum, g) => sum + g, 0) / gains.length
    const evidence = singleEvidence(log, labels.prompt, pool.set.strong)
    const floor = evidence && errorFloor(evidence.rows)
    gapError += Math.abs(value - wholeGain(curve)) / repeats
    naiveError += Math.abs(plainGap(log, pool) - wholeGain(curve)) / repeats
    const [measured] = await measureRouters([{ name: 'router', scores: winRate }], {
      gain: gains,
      weak: labels.weak,
      estimated: true,
      floor,
      clear: true,
      bands: true,
      replicates: REPLICATES,
      seed: own,
    })
    const band = measured!.band!
    for (let step = 0; step <= GRID_STEPS; step++) {
      squares += (band.value[step]! - truth[step]!) ** 2 / (GRID_STEPS + 1) / repeats
    }
    SHARES.forEach((share, k) => {
      const step = Math.round(share * GRID_STEPS)
      if (band.low[step]! <= truth[step]! && truth[step]! <= band.high[step]!)
        pgr[k]! += 1 / repeats
      const at = operatingPoint({
        winRate,
        threshold: { value: thresholds[k]!, source: 'calibrated' },
        gain: gains,
        weak: labels.weak,
        clear: true,
        floor,
      }).quality
      if (at.low! <= qualities[k]! && qualities[k]! <= at.high!) quality[k]! += 1 / repeats
    })
  }
  return { repeats, pgr, quality, curveRmse: Math.sqrt(squares), gapError, naiveError }
}

function plainGap(log: Awaited<ReturnType<typeof singleLogOf>>, { set }: Pool): number {
  const mean = (model: string): number => {
    const column = log.models.indexOf(model)
    const known = log.outcomes!.scores.filter(
      (score, at) => at % log.models.length === column && !Number.isNaN(score),
    )
    return known.reduce((sum, score) => sum + score, 0) / known.length
  }
  return mean(set.strong) - mean(set.weak)
}
