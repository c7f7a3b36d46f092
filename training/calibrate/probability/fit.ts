import { createRandom, deriveSeed } from '../../../core/random.ts'
import { type CalibrationMap, calibrate } from '../../../models/calibration-map.ts'
import { fitIsotonic } from './isotonic-map.ts'
import { fitBeta, fitPlatt } from './logistic-map.ts'

type MapMethod = CalibrationMap['method']

/** Every method to fit a map, the simplest first: it is chosen among equals. */
const FITS: readonly {
  readonly method: MapMethod
  fit(winRate: Float64Array, y: Float64Array): CalibrationMap
}[] = [
  // win rates that need no map get the neutral Platt map: known to be calibrated, and unchanged
  { method: 'identity', fit: () => ({ method: 'platt', slope: 1, intercept: 0 }) },
  { method: 'platt', fit: fitPlatt },
  { method: 'beta', fit: fitBeta },
  { method: 'isotonic', fit: fitIsotonic },
]

/** The first methods are `identity` and `platt`. */
const FEW_PARAMETERS = 2

export interface MapFit {
  readonly map: CalibrationMap
  /** how the map was fitted; `identity` if no fit was better than the unchanged win rates */
  readonly method: MapMethod
  /** cross-validated log-loss of each method */
  readonly logLoss: Readonly<Partial<Record<MapMethod, number>>>
}

export interface FitOptions {
  readonly folds?: number
  readonly seed: number
  /** labels are noisy estimates, not in [0, 1]: only maps with one or two parameters are fitted */
  readonly noisy?: boolean
}

/**
 * The map with the lowest cross-validated log-loss, fitted on all rows. `y` is (1 + s - w) / 2, in [0, 1] unless
 * it is an estimate.
 */
export function fitCalibrationMap(
  winRate: Float64Array,
  y: Float64Array,
  options: FitOptions,
): MapFit {
  const fold = foldsOf(winRate.length, options)
  const losses = {} as Record<MapMethod, number>
  let best = FITS[0]!
  for (const candidate of options.noisy ? FITS.slice(0, FEW_PARAMETERS) : FITS) {
    const held = outOfFold(winRate, y, fold, candidate.fit)
    losses[candidate.method] = logLoss(held, y)
    if (losses[candidate.method] < losses[best.method] - 1e-9) best = candidate
  }
  return { map: best.fit(winRate, y), method: best.method, logLoss: losses }
}

/**
 * Each row's win rate, calibrated by a map that was chosen and fitted without that row: calibration errors
 * can be computed from these.
 */
export function crossCalibrated(
  winRate: Float64Array,
  y: Float64Array,
  options: FitOptions,
): Float64Array {
  const outer = { ...options, seed: deriveSeed(options.seed, 'outer') }
  const fitMap = (x: Float64Array, labels: Float64Array): CalibrationMap =>
    fitCalibrationMap(x, labels, options).map
  return outOfFold(winRate, y, foldsOf(winRate.length, outer), fitMap)
}

function outOfFold(
  winRate: Float64Array,
  y: Float64Array,
  fold: Int32Array,
  fitMap: (winRate: Float64Array, y: Float64Array) => CalibrationMap,
): Float64Array {
  const result = new Float64Array(winRate.length)
  const folds = fold.reduce((most, value) => Math.max(most, value), 0) + 1
  for (let held = 0; held < folds; held++) {
    const inside = (_: number, i: number): boolean => fold[i] !== held
    const map = fitMap(winRate.filter(inside), y.filter(inside))
    for (let i = 0; i < result.length; i++) {
      if (fold[i] === held) result[i] = calibrate(map, winRate[i]!)
    }
  }
  return result
}

function foldsOf(n: number, { folds = 5, seed }: FitOptions): Int32Array {
  const fold = Int32Array.from({ length: n }, (_, i) => i % folds)
  return createRandom(deriveSeed(seed, 'calibration folds')).shuffle(fold)
}

export function logLoss(p: Float64Array, y: Float64Array): number {
  let sum = 0
  for (let i = 0; i < p.length; i++) {
    const at = Math.min(1 - 1e-9, Math.max(1e-9, p[i]!))
    sum -= y[i]! * Math.log(at) + (1 - y[i]!) * Math.log(1 - at)
  }
  return sum / p.length
}
