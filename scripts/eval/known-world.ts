import { createRandom } from '../../models/random.ts'
import type { BoundTest } from '../../training/calibrate/bounds/bound-test.ts'
import { gridFrom } from '../../training/calibrate/grid.ts'
import { promisedLoss } from '../../training/calibrate/losses.ts'
import { passing } from '../../training/calibrate/methods/learn-then-test.ts'
import type { CalibrationRows } from '../../training/calibrate/rows.ts'

/** A world in which the chance of every outcome is known, and with it what any threshold truly loses. */
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

/** A chance around `mean` that falls by up to `reach` to either side, kept symmetric so that its mean stays. */
function slope(mean: number, difficulty: number, reach: number): number {
  const room = Math.min(reach, mean, 1 - mean)
  return mean + room * (1 - 2 * difficulty)
}

export interface WorldResult {
  readonly violations: number
  readonly weakShare: number
  /** calibrations in which no threshold passed and no promise was made */
  readonly refused: number
}

const POPULATION = 40_000

/** Calibrations on fresh draws of a world, judged by its true loss. */
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
