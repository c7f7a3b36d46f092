import { createRandom } from '../../../core/random.ts'
import type { BoundTest } from '../../../training/calibrate/bounds/bounds.ts'
import { gridFrom, shareAt } from '../../../training/calibrate/candidates.ts'
import { costAt } from '../../../training/calibrate/expected.ts'
import { promisedLoss } from '../../../training/calibrate/losses.ts'
import { passing } from '../../../training/calibrate/methods/learn-then-test.ts'
import { plugIn } from '../../../training/calibrate/methods/plug-in.ts'
import { type CalibrationRows, takeCalibrationRows } from '../../../training/calibrate/rows.ts'
import type { Target } from '../../../training/calibrate/target.ts'
import { calibrateThreshold } from '../../../training/calibrate/threshold.ts'

const thresholdFor = (winRate: Float64Array, share: number): number =>
  calibrateThreshold({ rows: { winRate }, target: { kind: 'strong-share', share }, seed: 1 })
    .threshold

/** Mean absolute error of the share, on the population that n rows are drawn from, over shares of .1 to .9. */
export function shareError(
  population: Float64Array,
  options: { rows: number; runs: number; seed: number },
): number {
  const random = createRandom(options.seed)
  let error = 0
  for (let run = 0; run < options.runs; run++) {
    const share = 0.1 + 0.8 * random.next()
    const drawn = Float64Array.from(
      { length: options.rows },
      () => population[random.int(population.length)]!,
    )
    error += Math.abs(shareAt(population, thresholdFor(drawn, share)) - share) / options.runs
  }
  return error
}

export interface ShiftedShareErrors {
  /** after recalibrating on a few unlabelled prompts of the new mix */
  readonly recalibrated: number
  /** with the threshold of the old mix */
  readonly kept: number
}

/**
 * Traffic moves to a random third of the categories: mean absolute error of a 30% share on the new mix, with
 * and without unlabelled prompts from it.
 */
export function shiftedShareErrors(
  winRate: Float64Array,
  categories: readonly (string | undefined)[],
  options: { unlabelled: number; runs: number; seed: number },
): ShiftedShareErrors {
  const random = createRandom(options.seed)
  const known = [...new Set(categories)]
  let recalibrated = 0
  let kept = 0
  const old = thresholdFor(winRate, 0.3)
  for (let run = 0; run < options.runs; run++) {
    const chosen = new Set(random.shuffle([...known]).slice(0, Math.ceil(known.length / 3)))
    const mix = winRate.filter((_, i) => chosen.has(categories[i]))
    const seen = Float64Array.from(
      { length: options.unlabelled },
      () => mix[random.int(mix.length)]!,
    )
    recalibrated += Math.abs(shareAt(mix, thresholdFor(seen, 0.3)) - 0.3) / options.runs
    kept += Math.abs(shareAt(mix, old) - 0.3) / options.runs
  }
  return { recalibrated, kept }
}

export interface BudgetResult {
  /** share of the splits whose remaining rows exceed the budget */
  readonly violations: number
  /** mean share of the budget that the remaining rows spend */
  readonly spent: number
}

/**
 * Random splits: a budget half-way between always-weak and always-strong, guaranteed on one part, spent on
 * the rest.
 */
export function budgetOnSplits(
  rows: CalibrationRows,
  options: {
    runs: number
    calibrationRows: number
    confidence: number
    seed: number
    method: string
  },
): BudgetResult {
  const mean = (values: Float64Array): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const usd = 500 * (mean(rows.strongCost!) + mean(rows.weakCost!))
  const target = { kind: 'budget', usd_per_1k: usd, confidence: options.confidence } as const
  let violations = 0
  let spent = 0
  for (let run = 0; run < options.runs; run++) {
    const order = createRandom(options.seed * 100_003 + run).shuffle(
      Int32Array.from(rows.winRate.keys()),
    )
    const n = options.calibrationRows
    const { threshold } = calibrateThreshold({
      rows: takeCalibrationRows(rows, order.subarray(n, 2 * n)),
      reference: Float64Array.from(order.subarray(0, n), (i) => rows.winRate[i]!),
      target,
      method: options.method,
      seed: 1,
    })
    const rest = takeCalibrationRows(rows, order.subarray(2 * n))
    const cost = 1000 * mean(costAt(rest, threshold)!)
    if (cost > usd) violations++
    spent += cost / usd / options.runs
  }
  return { violations: violations / options.runs, spent }
}

export interface SplitOptions {
  readonly target: Extract<Target, { kind: 'max-loss' | 'max-harm' }>
  readonly runs: number
  readonly calibrationRows: number
  /** rows whose scores alone determine the grid; they are neither calibrated nor tested on */
  readonly validationRows: number
  readonly seed: number
}

export interface SplitResult {
  /** share of the splits whose remaining rows lose more than guaranteed */
  readonly violations: number
  /** mean share of the remaining rows that went to the weak model */
  readonly weakShare: number
}

/** Random splits of labelled rows: the effect on the rest of a guarantee calibrated on one part. */
export function promiseOnSplits(
  rows: CalibrationRows,
  test: BoundTest | 'plug-in',
  options: SplitOptions,
): SplitResult {
  const { target, runs, calibrationRows: n, validationRows } = options
  const limit = target.kind === 'max-loss' ? target.loss : target.harm
  let violations = 0
  let weakShare = 0
  for (let run = 0; run < runs; run++) {
    const order = createRandom(options.seed * 100_003 + run).shuffle(
      Int32Array.from(rows.winRate.keys()),
    )
    const grid = gridFrom(
      Float64Array.from(order.subarray(0, validationRows), (i) => rows.winRate[i]!),
    )
    const calibration = takeCalibrationRows(
      rows,
      order.subarray(validationRows, validationRows + n),
    )
    const threshold =
      test === 'plug-in'
        ? plugIn.choose({ rows: calibration, target, grid, seed: 1 }).threshold
        : lastPassing(test, calibration, target, grid)
    const rest = order.subarray(validationRows + n)
    let loss = 0
    let weak = 0
    for (const i of rest) {
      if (rows.winRate[i]! >= threshold) continue
      weak++
      const gain = rows.gain![i]!
      loss += target.kind === 'max-loss' ? gain : Math.max(0, gain)
    }
    if (loss / rest.length > limit) violations++
    weakShare += weak / rest.length / runs
  }
  return { violations: violations / runs, weakShare }
}

/** All strong (0) if no threshold passes: there is then no guarantee, and no loss. */
function lastPassing(
  test: BoundTest,
  rows: CalibrationRows,
  target: SplitOptions['target'],
  grid: Float64Array,
): number {
  const passed = passing(test, promisedLoss(rows, target), grid)
  return passed === 0 ? 0 : grid[passed - 1]!
}

/** A world with known probabilities of every outcome, and so the true loss of any threshold. */
export interface KnownWorld {
  /** mean chance that each model is right */
  readonly strong: number
  readonly weak: number
  /** 0: win rates are noise; 1: they are the true ones */
  readonly skill: number
}

interface KnownRows extends CalibrationRows {
  readonly gain: Float64Array
  /** E[s - w] of each row */
  readonly truth: Float64Array
}

/** Difficulty is uniform; both models fail more as it rises, the weak one earlier. */
export function drawWorld(world: KnownWorld, n: number, seed: number): KnownRows {
  const random = createRandom(seed)
  const winRate = new Float64Array(n)
  const gain = new Float64Array(n)
  const truth = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    const difficulty = random.next()
    const strong = slope(world.strong, difficulty, 0.15)
    const weak = slope(world.weak, difficulty, 0.45)
    truth[i] = strong - weak
    winRate[i] = world.skill * ((1 + truth[i]!) / 2) + (1 - world.skill) * random.next()
    gain[i] = (random.next() < strong ? 1 : 0) - (random.next() < weak ? 1 : 0)
  }
  return { winRate, gain, truth }
}

/**
 * A probability around `mean` that varies by up to `reach` to either side, symmetric so that its mean is
 * kept.
 */
function slope(mean: number, difficulty: number, reach: number): number {
  const room = Math.min(reach, mean, 1 - mean)
  return mean + room * (1 - 2 * difficulty)
}

export interface WorldResult {
  readonly violations: number
  readonly weakShare: number
  /** calibrations in which no threshold passed and no guarantee was given */
  readonly refused: number
}

const POPULATION = 40_000

/** Calibrates on fresh draws of a world, and measures the true loss. */
export function promiseInWorld(
  world: KnownWorld,
  test: BoundTest,
  options: { rows: number; runs: number; loss: number; confidence: number; seed: number },
): WorldResult {
  const population = drawWorld(world, POPULATION, options.seed * 7919)
  const target = { kind: 'max-loss', loss: options.loss, confidence: options.confidence } as const
  const grid = gridFrom(drawWorld(world, 1000, options.seed * 104_729).winRate)
  const atGrid = Array.from(grid, (threshold) => {
    let loss = 0
    let weak = 0
    for (let i = 0; i < POPULATION; i++) {
      if (population.winRate[i]! >= threshold) continue
      weak++
      loss += population.truth[i]!
    }
    return { loss: loss / POPULATION, weak: weak / POPULATION }
  })
  let violations = 0
  let weakShare = 0
  let refused = 0
  for (let run = 0; run < options.runs; run++) {
    const { winRate, gain } = drawWorld(world, options.rows, options.seed * 1_000_003 + run)
    const passed = passing(test, promisedLoss({ winRate, gain }, target), grid)
    const taken = atGrid[passed - 1]
    if (!taken) {
      refused++
      continue
    }
    if (taken.loss > options.loss) violations++
    weakShare += taken.weak / options.runs
  }
  return { violations: violations / options.runs, weakShare, refused: refused / options.runs }
}
