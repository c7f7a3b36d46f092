import { WeirError } from '../../core/errors.ts'
import { type PartialInterval, sampleMeanInterval, sideOf } from '../../core/stats/intervals.ts'
import type { Observational } from '../../models/bundle/manifest.ts'
import { errorFloor } from '../ope/error-floor.ts'
import { effectiveAnswers, overturningGamma } from '../ope/sensitivity.ts'
import { type Baseline, baselinesOf } from './baselines/baselines.ts'
import { straightBaselines } from './baselines/straight-baselines.ts'
import { compareAll } from './bootstrap/difference.ts'
import { type MeasuredRouter, measureRouters } from './bootstrap/measure-routers.ts'
import { gainsOf, knownMean } from './metrics/labels.ts'

import type { EvaluationInput } from './report/evaluation-input.ts'
import type { BaselineReport, EvaluationReport } from './report/report.ts'
import { routerReports } from './report/router-reports.ts'
import { gapInWords } from './report/verdict.ts'

/** Minimum number of prompts of an evaluation. */
export const MIN_EVALUATION_ROWS = 20

/** Evaluates every router and baseline on the same prompts and the same bootstrap draws. */
export async function evaluateRouters(input: EvaluationInput): Promise<EvaluationReport> {
  const rows = input.prompts.length
  if (rows < MIN_EVALUATION_ROWS) {
    throw new WeirError('rows_too_few', {
      expected: MIN_EVALUATION_ROWS,
      what: 'to evaluate on',
      got: rows,
    })
  }
  const gain = gainsOf(input.labels, rows)
  const floor = input.singles && errorFloor(input.singles.rows)
  const plain = sampleMeanInterval(gain)
  const gap = floor?.widen(plain, () => 1) ?? plain
  const clear = sideOf(gap) === 'above'
  const { y, strong, weak, estimated: marks } = input.labels
  const estimated = marks?.includes(1) ?? false
  const baselines = baselinesOf({ ...input, y, gain, estimated })
  const replicates = input.replicates ?? (rows > 200_000 ? 200 : 1_000)
  const scored = input.routers.map(({ name, winRate }) => scoresOf(name, winRate, rows))
  const measured = await measureRouters([...scored, ...baselines], {
    ...input,
    gain,
    weak,
    estimated,
    floor,
    clear,
    replicates,
    bands: input.details ?? false,
  })
  const evidence = evidenceIn(input.labels, rows)
  const effective = input.singles && effectiveAnswers(input.singles.rows)
  const routers = measured.slice(0, scored.length)
  const free = measured.slice(scored.length)
  const quality = {
    strong: strong ? knownMean(strong) : null,
    weak: weak ? knownMean(weak) : null,
    gap,
    clear,
  }
  return {
    rows,
    pair: input.pair ?? null,
    labels: strong ? 'outcomes' : 'preferences',
    evidence,
    ...(input.singles && {
      observational: {
        ...input.singles.summary,
        // of the evaluated prompts, where the manifest has those of the log
        effective: effective!,
        gap_gamma: overturningGamma(input.singles.rows, gain, () => 1, floor),
      },
    }),
    costs: input.spend?.origin ?? null,
    seed: input.seed,
    replicates,
    quality,
    warnings: [
      ...(input.warnings ?? []),
      ...(evidence.single > evidence.paired ? thinWarnings(effective) : []),
      ...(clear ? [] : [unclear(gap)]),
    ],
    routers: routerReports({ ...input, floor }, routers, free, gain, gap),
    baselines: {
      ...straightBaselines({ gain, weakQuality: quality.weak, clear }),
      ...baselineReports(free, baselines),
    },
    comparisons: compareAll(routers),
  }
}

function evidenceIn(
  { strong, estimated }: EvaluationInput['labels'],
  rows: number,
): EvaluationReport['evidence'] {
  // without scores, what is estimated are votes
  const single = strong ? (estimated?.reduce((sum, mark) => sum + mark, 0) ?? 0) : 0
  let votes = strong ? 0 : rows
  if (strong) for (let i = 0; i < rows; i++) if (Number.isNaN(strong[i]!)) votes++
  return { paired: rows - single - votes, single, votes }
}

function baselineReports(
  free: readonly MeasuredRouter[],
  baselines: readonly Baseline[],
): Record<string, BaselineReport> {
  return Object.fromEntries(
    free.map(({ name, report, band }, i) => {
      const { note } = baselines[i]!
      return [name, { ...report, ...(note && { note }), ...(band && { chart: { band } }) }]
    }),
  )
}

/** With fewer effective answers of a model, figures hang on the few that weigh most. */
const LEAST_EFFECTIVE = 100

function thinWarnings(effective: Observational['effective'] | undefined): string[] {
  if (!effective) return []
  const least = Math.floor(Math.min(effective.strong, effective.weak))
  return least >= LEAST_EFFECTIVE
    ? []
    : [
        `these prompts are worth only ${least} answers of one of the models: intervals are wide and rest on few answers (under ${LEAST_EFFECTIVE}); explore more, or evaluate on more prompts`,
      ]
}

const unclear = (gap: PartialInterval): string =>
  `${gapInWords(gap)}: PGR, APGR and CPT are undefined on these prompts`

function scoresOf(
  name: string,
  winRate: ArrayLike<number>,
  rows: number,
): { name: string; scores: ArrayLike<number> } {
  if (winRate.length === rows) return { name, scores: winRate }
  throw new WeirError('evaluation_invalid', {
    expected: `${rows} win rates of ${name}, one per prompt`,
    got: winRate.length,
  })
}
