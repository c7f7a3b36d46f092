import { createRandom } from '../core/random.ts'
import type { CalibrationRows } from '../training/calibrate/rows.ts'

export interface World {
  readonly rows: number
  readonly seed: number
  /** how often each model is right on average */
  readonly strong?: number
  readonly weak?: number
  /** 0: the score says nothing; 1: it is the true chance that the strong model does better */
  readonly skill?: number
}

/**
 * Prompts of a known world: difficulty uniform in [0, 1], P(right) falling linearly with it, more steeply
 * for the weak model, and a win rate that mixes the true one with noise.
 */
export function simulate(world: World): CalibrationRows {
  const { rows, seed, strong = 0.8, weak = 0.65, skill = 0.7 } = world
  const random = createRandom(seed)
  const winRate = new Float64Array(rows)
  const gain = new Float64Array(rows)
  const weakScore = new Float64Array(rows)
  const strongCost = new Float64Array(rows)
  const weakCost = new Float64Array(rows)
  for (let i = 0; i < rows; i++) {
    const difficulty = random.next()
    const strongRight = strong + 0.3 * (0.5 - difficulty) * Math.min(1, (1 - strong) * 5)
    const weakRight = weak + 0.9 * (0.5 - difficulty) * Math.min(1, (1 - weak) * 2)
    const truth = (1 + strongRight - Math.min(1, Math.max(0, weakRight))) / 2
    winRate[i] = skill * truth + (1 - skill) * (0.4 + 0.3 * random.next())
    const s = random.next() < strongRight ? 1 : 0
    const w = random.next() < weakRight ? 1 : 0
    gain[i] = s - w
    weakScore[i] = w
    strongCost[i] = 0.01 * (0.5 + random.next())
    weakCost[i] = 0.0005 * (0.5 + random.next())
  }
  return { winRate, gain, weak: weakScore, strongCost, weakCost }
}
