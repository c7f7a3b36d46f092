import { WeirError } from '../core/errors.ts'
import { type Interval, sideOf } from '../core/stats/intervals.ts'
import { studentQuantile } from '../core/stats/judged-mean.ts'
import { type Dataset, SPLITS } from './dataset/dataset.ts'
import type { WeakSignalReport } from './dataset/manifest.ts'
import { promptOf } from './readers/weir-log.ts'
import type { Decisions, LoggedDecision, OutcomeRow, Rating } from './rows/reader.ts'

/** A sign counts only if at least this many answers with it, and as many without, were rated. */
export const LEAST_RATED = 20
/** Ratings of all models that each model's mean rating is drawn to. */
const SHRINK_RATINGS = 10
/** Answers with no sign that counts. */
const NONE = ''
/** Sources of scores that no user gave. */
const JUDGE = 'shadow:'

export interface WeakOutcomes {
  /** one per answer that a signal speaks of and nobody rated; none if no sign counts */
  readonly rows: readonly OutcomeRow[]
  readonly report: WeakSignalReport
}

/**
 * What later requests of a session say of answers, as scores to train on. How reliable each sign is, is measured on the
 * answers that were rated too: the difference of the mean rating with and without it (Welch's interval). A sign whose
 * interval does not lie below 0 does not count.
 *
 * The score of an unrated answer of model m, whose strongest sign that counts is s (or that has none), is the probability of a
 * good one, by Bayes' rule: odds(mean rating of m) times P(s | good) / P(s | bad), with the error rates of the rated
 * answers, where a rating y counts as y good and 1 - y bad.
 *
 * @param ratings those that count
 */
export function weakOutcomes(decisions: Decisions, ratings: readonly Rating[]): WeakOutcomes {
  const signs = new Map<LoggedDecision, Set<string>>()
  for (const { decision_id: id, model, signs: seen } of decisions.signals ?? []) {
    const decision = decisions.get(id)
    if (!decision || answerer(decision) !== model) continue
    const its = signs.get(decision) ?? new Set()
    signs.set(decision, its)
    for (const sign of seen) its.add(sign)
  }
  const scores = explicitScores(decisions, ratings)
  const rated = [...signs].flatMap(([decision, its]) => {
    const score = scores.get(decision)
    return score === undefined ? [] : [{ model: answerer(decision), signs: its, score }]
  })
  const names = [...new Set([...signs.values()].flatMap((its) => [...its]))].sort()
  const measured = names.map((sign) => {
    const value = (keep: boolean): number[] =>
      rated.filter((one) => one.signs.has(sign) === keep).map(({ score }) => score)
    const [with_, without] = [value(true), value(false)]
    const difference =
      Math.min(with_.length, without.length) >= LEAST_RATED
        ? differenceOf(with_, without)
        : undefined
    return {
      sign,
      answers: [...signs.values()].filter((its) => its.has(sign)).length,
      rated: with_.length,
      score: with_.length > 0 ? mean(with_) : null,
      without: without.length > 0 ? mean(without) : null,
      ...(difference && { difference }),
      used: difference !== undefined && sideOf(difference) === 'below',
    }
  })
  const used = measured.filter((one) => one.used).sort((a, b) => a.score! - b.score!)
  const rows: OutcomeRow[] = []
  if (used.length > 0) {
    const classOf = (its: ReadonlySet<string>): string =>
      used.find(({ sign }) => its.has(sign))?.sign ?? NONE
    const ratio = likelihoodRatios(
      rated.map((one) => ({ of: classOf(one.signs), score: one.score })),
      [NONE, ...used.map(({ sign }) => sign)],
    )
    const prior = modelMeans(rated)
    for (const [decision, its] of signs) {
      if (scores.has(decision) || decision.text === undefined) continue
      const model = answerer(decision)
      const p = prior(model)
      const odds = (p / (1 - p)) * ratio.get(classOf(its))!
      rows.push(weakRow(decision, model, odds / (1 + odds)))
      decision.rated = true
    }
  }
  const report = {
    answers: signs.size,
    rated: rated.length,
    scored: rows.length,
    signs: measured,
  }
  return { rows, report }
}

const answerer = ({ answered, model }: LoggedDecision): string => answered ?? model

/** The mean rating of each decision's answer by its users. */
function explicitScores(
  decisions: Decisions,
  ratings: readonly Rating[],
): Map<LoggedDecision, number> {
  const sums = new Map<LoggedDecision, { sum: number; weight: number }>()
  for (const { record } of ratings) {
    const decision = decisions.get(record.decision_id)
    if (!decision || record.source?.startsWith(JUDGE)) continue
    if (record.model !== undefined && record.model !== answerer(decision)) continue
    const { score, weight = 1 } = record
    const its = sums.get(decision) ?? { sum: 0, weight: 0 }
    sums.set(decision, { sum: its.sum + weight * score, weight: its.weight + weight })
  }
  return new Map([...sums].map(([decision, { sum, weight }]) => [decision, sum / weight]))
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/** Difference of two means, with Welch's 95% interval. */
function differenceOf(a: readonly number[], b: readonly number[]): Interval {
  const part = (values: readonly number[]): number => {
    const at = mean(values)
    const squares = values.reduce((sum, value) => sum + (value - at) ** 2, 0)
    // an eighth: of ratings that are all alike the next one may yet be another
    return (squares + 0.125) / (values.length - 1) / values.length
  }
  const [x, y] = [part(a), part(b)]
  const degrees = (x + y) ** 2 / (x ** 2 / (a.length - 1) + y ** 2 / (b.length - 1))
  const half = studentQuantile(0.975, degrees) * Math.sqrt(x + y)
  const value = mean(a) - mean(b)
  return { value, low: value - half, high: value + half }
}

/** P(class | good) / P(class | bad), with half an answer of each kind added. */
function likelihoodRatios(
  rated: readonly { readonly of: string; readonly score: number }[],
  classes: readonly string[],
): Map<string, number> {
  const good = rated.reduce((sum, { score }) => sum + score, 0)
  const bad = rated.length - good
  const n = classes.length
  return new Map(
    classes.map((name) => {
      const its = rated.filter(({ of }) => of === name)
      const itsGood = its.reduce((sum, { score }) => sum + score, 0)
      const share = (count: number, all: number): number => (count + 0.5) / (all + n / 2)
      return [name, share(itsGood, good) / share(its.length - itsGood, bad)]
    }),
  )
}

/** Each model's mean rating, drawn to that of all; never 0 or 1. */
function modelMeans(
  rated: readonly { readonly model: string; readonly score: number }[],
): (model: string) => number {
  const all = (rated.reduce((sum, { score }) => sum + score, 0) + 0.5) / (rated.length + 1)
  const sums = new Map<string, { sum: number; count: number }>()
  for (const { model, score } of rated) {
    const { sum, count } = sums.get(model) ?? { sum: 0, count: 0 }
    sums.set(model, { sum: sum + score, count: count + 1 })
  }
  return (model) => {
    const { sum, count } = sums.get(model) ?? { sum: 0, count: 0 }
    return (sum + SHRINK_RATINGS * all) / (count + SHRINK_RATINGS)
  }
}

function weakRow(decision: LoggedDecision, model: string, score: number): OutcomeRow {
  const { propensity, others, time } = decision
  return {
    kind: 'outcome',
    weak: true,
    origin: { path: '(weak signals)', line: 0 },
    ...promptOf(decision),
    timestamp: time,
    scores: new Map([[model, score]]),
    ...(model === decision.model && {
      propensities: new Map([...Object.entries(others ?? {}), [model, propensity]]),
    }),
  }
}

const shown = (value: number): string => value.toFixed(2).replace(/^(-?)0\./, '$1.')

/** What was measured, in words: a summary, and a line per sign. */
export function weakSignalLines({ answers, rated, scored, signs }: WeakSignalReport): string[] {
  const lines = signs.map(({ sign, answers: n, rated: both, score, without, difference, used }) => {
    const means =
      score === null || without === null
        ? ''
        : `: mean rating ${shown(score)}, ${shown(without)} without it`
    const known = difference
      ? ` (difference ${shown(difference.value)} [${shown(difference.low)}, ${shown(difference.high)}])`
      : ''
    const why = used
      ? 'counts'
      : difference
        ? 'does not count, as the difference may be none'
        : `does not count: ${LEAST_RATED} ratings with it and without it are needed`
    return `  ${sign}: ${n} answers, ${both} of them rated${means}${known}; ${why}`
  })
  return [
    `weak signals: ${answers} answers that a later request speaks of, ${rated} of them rated; ${scored} unrated ones get a weak score, for weir train --weak-signals`,
    ...lines,
  ]
}

/**
 * The dataset with the scores of its weak signals on train and validation prompts, where a model's answer has no other score.
 * Calibration and test prompts keep to what was rated.
 *
 * @throws option_invalid if the logs have no signals, or none that ratings show to be reliable
 */
export function withWeakOutcomes(dataset: Dataset): Dataset {
  const { outcomes, manifest, models, split } = dataset
  const report = manifest.weak_signals
  if (!outcomes?.weak) {
    throw new WeirError('option_invalid', {
      option: '--weak-signals',
      expected:
        'decision logs with the lines that gateway.weak_signals writes, and enough feedback to measure how reliable they are',
      got: report ? weakSignalLines(report).join('\n') : 'no such lines',
    })
  }
  const learnt = [SPLITS.indexOf('train'), SPLITS.indexOf('validation')]
  const scores = outcomes.scores.map((score, at) =>
    Number.isNaN(score) && learnt.includes(split[Math.floor(at / models.length)]!)
      ? outcomes.weak![at]!
      : score,
  )
  return { ...dataset, outcomes: { ...outcomes, scores } }
}
