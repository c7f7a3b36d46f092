import { WeirError } from '../../core/errors.ts'
import { between } from './candidates.ts'
import type { CascadeRow } from './cascade-log.ts'
import type { Certificate } from './certificate.ts'
import type { Expected } from './expected.ts'
import { setAside } from './log-rows.ts'
import type { CalibrationRows } from './rows.ts'
import { describeTarget, type Target, thresholdTarget } from './target.ts'
import { calibrateThreshold } from './threshold.ts'

export interface CascadeCalibrationOptions {
  readonly target: Target
  readonly method?: string | undefined
  readonly seed: number
}

export interface CascadeCalibration {
  /** lowest score that passes; undefined if every answer must be escalated */
  readonly threshold: number | undefined
  /** here `share` is the share of answers that are escalated */
  readonly expected: Expected
  readonly certificate: Certificate
  /** rows that the target was fitted to, and rows that lacked an outcome of one of the models */
  readonly used: number
  readonly unlabelled: number
  /** rows set aside to fix the grid on which a promise is tested */
  readonly grid: number
}

/**
 * Chooses the threshold of a cascade's check. A check's score is an inverted win rate: escalating where score
 * < threshold is the same as sending strong where 1 - score is high, so a cascade supports every target and
 * method of a router's threshold.
 *
 * @throws rows_too_few, calibration_data_short, calibration_needs
 */
export function calibrateCascade(
  all: readonly CascadeRow[],
  options: CascadeCalibrationOptions,
): CascadeCalibration {
  const { method, seed } = options
  const target = thresholdTarget(options.target)
  const share = target.kind === 'strong-share'
  const labelled = share
    ? all
    : all.filter(({ weak, strong }) => weak !== undefined && strong !== undefined)
  const weights = share ? undefined : strataWeights(all, labelled, target)
  const sequential = !share && target.confidence !== undefined
  const everyRow = Int32Array.from(labelled.keys())
  const aside = sequential
    ? setAside(everyRow, seed, Number.POSITIVE_INFINITY)
    : { rows: everyRow, grid: new Int32Array(0) }
  const taken = Array.from(aside.rows)
  const reference = Float64Array.from(aside.grid, (i) => 1 - labelled[i]!.score)
  const rows = rowsOf(
    taken.map((i) => labelled[i]!),
    weights && taken.map((i) => weights[i]!),
  )
  const chosen = calibrateThreshold({
    rows,
    target,
    seed,
    method,
    reference: sequential ? reference : undefined,
  })
  return {
    threshold: scoreThreshold(all, chosen.threshold),
    expected: chosen.expected,
    certificate: chosen.certificate,
    used: taken.length,
    unlabelled: all.length - labelled.length,
    grid: aside.grid.length,
  }
}

/** Midpoint between the highest escalated score and the lowest score that passes, over all observed scores. */
function scoreThreshold(rows: readonly CascadeRow[], winRate: number): number | undefined {
  let escalated = Number.NEGATIVE_INFINITY
  let kept = Number.POSITIVE_INFINITY
  for (const { score } of rows) {
    if (1 - score >= winRate) escalated = Math.max(escalated, score)
    else kept = Math.min(kept, score)
  }
  if (kept === Number.POSITIVE_INFINITY) return undefined
  return escalated === Number.NEGATIVE_INFINITY
    ? Math.max(0, 1 - winRate)
    : between(escalated, kept)
}

/**
 * In a log, an answer that failed its check comes with both models' answers and one that passed with one, so
 * both outcomes are known far more often for low scores. Each complete row is therefore weighted up for the
 * rows on its side of the threshold that lack an outcome.
 */
function strataWeights(
  all: readonly CascadeRow[],
  labelled: readonly CascadeRow[],
  target: Target,
): number[] | undefined {
  if (labelled.length === all.length) return undefined
  const count = (rows: readonly CascadeRow[], passed: boolean): number =>
    rows.filter((row) => row.passed === passed).length
  const sides = [true, false].map((passed) => ({
    passed,
    all: count(all, passed),
    known: count(labelled, passed),
  }))
  // the user's own rows carry no information about an earlier threshold
  if (sides.every(({ all }) => all === 0)) return undefined
  for (const { passed, all: there, known } of sides) {
    if (there === 0 || known > 0) continue
    const which = passed ? 'passed its check' : 'failed it'
    throw new WeirError('calibration_needs', {
      target: describeTarget(target),
      needed: `feedback on both models' answers to requests whose answer ${which}: none of ${there} has it`,
    })
  }
  const mean = all.length / labelled.length
  return labelled.map((row) => {
    const side = sides.find(({ passed }) => passed === row.passed)
    return side ? side.all / side.known / mean : 1
  })
}

function rowsOf(
  rows: readonly CascadeRow[],
  weight: readonly number[] | undefined,
): CalibrationRows {
  const column = (of: (row: CascadeRow) => number | undefined): Float64Array | undefined => {
    const values = rows.map(of)
    return values.every((value) => value !== undefined) && values.length > 0
      ? Float64Array.from(values as number[])
      : undefined
  }
  const weak = column((row) => row.weak)
  const gain = column(({ weak, strong }) =>
    weak === undefined || strong === undefined ? undefined : strong - weak,
  )
  const weakCost = column((row) => row.weak_usd)
  // an escalated request pays for both answers
  const strongCost = column(({ weak_usd: one, strong_usd: other }) =>
    one === undefined || other === undefined ? undefined : one + other,
  )
  return {
    winRate: Float64Array.from(rows, ({ score }) => 1 - score),
    ...(gain && { gain }),
    ...(gain && weak && { weak }),
    ...(weakCost && strongCost && { weakCost, strongCost }),
    ...(weight && { weight: Float64Array.from(weight) }),
  }
}
