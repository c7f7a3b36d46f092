import {
  type PartialInterval,
  sampleMeanInterval,
  UNDEFINED_INTERVAL,
  wilsonInterval,
} from '../../core/stats/intervals.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { errorFloor } from '../ope/error-floor.ts'
import type { Difference } from './bootstrap/difference.ts'
import { evaluateRouters } from './evaluate-routers.ts'
import { closeBundles, openBundles } from './log/bundle-set.ts'
import {
  type ScoredLog,
  type ScoredRouter,
  type ScoreLogOptions,
  scoreLog,
} from './log/scored-log.ts'
import type { LeftOut } from './log/unseen-rows.ts'
import { gainsOf } from './metrics/labels.ts'

import { groupRows } from './report/slices.ts'

export interface DiffOptions extends ScoreLogOptions {
  readonly seed: number
  readonly replicates?: number | undefined
}

/** A prompt that two routers send to different models. */
export interface ChangedPrompt {
  /** cut to 300 characters */
  readonly prompt: string
  readonly category: string | null
  readonly to: 'strong' | 'weak'
  readonly old_win_rate: number
  readonly new_win_rate: number
  /** change of the mean score on this prompt (negative: a loss) */
  readonly gain: number
}

/** What replacing one bundle by another changes for the traffic of a log, for review in a pull request. */
export interface BundleDiff {
  readonly rows: number
  readonly old: BundleSide
  readonly new: BundleSide
  readonly left_out: LeftOut
  readonly warnings: readonly string[]
  /** share of prompts that change route, and how many change in each direction */
  readonly changed: PartialInterval & { readonly to_strong: number; readonly to_weak: number }
  /** mean score over all prompts, new minus old */
  readonly quality: PartialInterval
  /** US dollars per 1,000 requests, new minus old; undefined if costs are not known */
  readonly dollars_per_1k: PartialInterval
  /** difference of the ranking alone, whatever the thresholds: APGR of new minus old */
  readonly apgr: Difference
  /** number of prompts that change route, per category */
  readonly categories: readonly CategoryChange[]
  /** losses first, then gains, then the largest changes of win rate */
  readonly prompts: readonly ChangedPrompt[]
}

export interface BundleSide {
  readonly name: string
  readonly version: string
  readonly threshold: number
  readonly strong_share: number
}

export interface CategoryChange {
  readonly category: string
  readonly rows: number
  readonly to_strong: number
  readonly to_weak: number
  readonly quality: PartialInterval
}

const SHOWN_CHARACTERS = 300
const SHOWN_PROMPTS = 30

/** Compares both bundles, each at its threshold, on the rows of a log that neither has seen. */
export async function diffBundles(
  oldPath: string,
  newPath: string,
  dataset: Dataset,
  options: DiffOptions,
): Promise<BundleDiff> {
  const { encoderAccess, signers } = options
  const bundles = await openBundles([oldPath, newPath], { encoderAccess, signers })
  try {
    const log = await scoreLog(bundles, dataset, options)
    const [before, after] = log.routers as [ScoredRouter, ScoredRouter]
    const report = await evaluateRouters({
      ...options,
      ...log,
      // in the order of the difference: new minus old
      routers: [after, before],
      neighbourLimit: 0,
    })
    const gain = gainsOf(log.labels, log.prompts.length)
    const side = (i: 0 | 1): BundleSide => ({
      name: log.routers[i]!.name,
      version: bundles[i]!.router.manifest.version,
      threshold: log.routers[i]!.threshold!.value,
      strong_share: moves(log, log.routers[i]!).filter((strong) => strong).length / gain.length,
    })
    const { value, low, high, p, detectable } = report.comparisons[0]!
    return {
      rows: gain.length,
      old: side(0),
      new: side(1),
      left_out: log.leftOut,
      warnings: log.warnings,
      apgr: { value, low, high, p, detectable },
      ...changes(log, before, after, gain),
    }
  } finally {
    await closeBundles(bundles)
  }
}

/** Whether each prompt goes to the strong model. */
function moves(log: ScoredLog, { winRate, threshold }: ScoredRouter): boolean[] {
  return Array.from(log.prompts, (_, i) => winRate[i]! >= threshold!.value)
}

function changes(
  log: ScoredLog,
  before: ScoredRouter,
  after: ScoredRouter,
  gain: Float64Array,
): Pick<BundleDiff, 'changed' | 'quality' | 'dollars_per_1k' | 'categories' | 'prompts'> {
  const { costs } = log
  const was = moves(log, before)
  const is = moves(log, after)
  // 1 if a prompt changes to strong, -1 if it changes to weak
  const step = Float64Array.from(gain, (_, i) => Number(is[i]) - Number(was[i]))
  const earned = step.map((direction, i) => direction * gain[i]!)
  const rows = Array.from(step.keys()).filter((i) => step[i] !== 0)
  /** mean score earned over some of the prompts */
  const qualityOf = (among: readonly number[]): PartialInterval => {
    const plain = sampleMeanInterval(Float64Array.from(among, (i) => earned[i]!))
    const floor = log.singles && errorFloor(log.singles.rows, among)
    return floor?.widen(plain, (k) => step[among[k]!]!) ?? plain
  }
  return {
    changed: {
      ...wilsonInterval(rows.length, step.length),
      to_strong: rows.filter((i) => step[i] === 1).length,
      to_weak: rows.filter((i) => step[i] === -1).length,
    },
    quality: qualityOf([...step.keys()]),
    dollars_per_1k: costs
      ? sampleMeanInterval(
          step.map((direction, i) => 1000 * direction * (costs.strong[i]! - costs.weak[i]!)),
        )
      : UNDEFINED_INTERVAL,
    categories: categoryChanges(log, step, qualityOf),
    prompts: shownRows(rows, earned, (i) => Math.abs(after.winRate[i]! - before.winRate[i]!)).map(
      (i) => ({
        prompt: shortened(log.prompts[i]!),
        category: log.categories[i] ?? null,
        to: step[i] === 1 ? 'strong' : 'weak',
        old_win_rate: before.winRate[i]!,
        new_win_rate: after.winRate[i]!,
        gain: earned[i]!,
      }),
    ),
  }
}

/** Losses, then gains, then the rest, the largest changes first; losses and gains each keep a share of the places. */
function shownRows(
  rows: readonly number[],
  earned: Float64Array,
  distance: (row: number) => number,
): number[] {
  const sorted = rows.toSorted(
    (a, b) => Math.abs(earned[b]!) - Math.abs(earned[a]!) || distance(b) - distance(a),
  )
  const losses = sorted.filter((i) => earned[i]! < 0)
  const gains = sorted.filter((i) => earned[i]! > 0)
  const half = SHOWN_PROMPTS / 2
  const shown = [
    ...losses.slice(0, Math.max(half, SHOWN_PROMPTS - gains.length)),
    ...gains.slice(0, Math.max(half, SHOWN_PROMPTS - losses.length)),
    ...sorted.filter((i) => earned[i] === 0),
  ]
  return shown.slice(0, SHOWN_PROMPTS)
}

function categoryChanges(
  log: ScoredLog,
  step: Float64Array,
  qualityOf: (rows: readonly number[]) => PartialInterval,
): CategoryChange[] {
  const groups = groupRows(log.categories.map((category) => category ?? '(none)'))
  return [...groups]
    .map(([category, rows]) => ({
      category,
      rows: rows.length,
      to_strong: rows.filter((i) => step[i] === 1).length,
      to_weak: rows.filter((i) => step[i] === -1).length,
      quality: qualityOf(rows),
    }))
    .filter(({ to_strong, to_weak }) => to_strong + to_weak > 0)
    .sort((a, b) => b.to_strong + b.to_weak - a.to_strong - a.to_weak)
}

const shortened = (text: string): string =>
  text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}...` : text
