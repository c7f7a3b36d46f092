import { krippendorffAlpha } from '../../core/stats/agreement.ts'
import {
  type Interval,
  meanInterval,
  ratioInterval,
  type Side,
  sideOf,
} from '../../core/stats/intervals.ts'
import {
  type CorrectedLabels,
  chanceOfChange,
  correctJudge,
  LEAST_HUMAN_LABELS,
  sequenceHalfWidth,
  studentQuantile,
} from '../../core/stats/judged-mean.ts'
import { Z_95 } from '../../core/stats/normal.ts'
import { percent } from '../terminal/terminal.ts'
import { type GradedRow, humanPair, judgedPair, meanOf } from './grades.ts'
import { weightOf } from './log.ts'

/** How one judge errs, on one pair of models. Biases are differences of win rates; 0 is none. */
export interface JudgeReport {
  readonly judge: string
  /** rows with verdicts in both orders, and the share on which the two orders agree */
  readonly orders: { readonly rows: number; readonly agree: number }
  /** how much more often the answer shown first wins than the one shown second */
  readonly position: Interval | undefined
  /** how much more often the longer answer wins than the shorter one */
  readonly longer: Interval | undefined
  /** beside people, on the rows that both labelled; absent without any */
  readonly people?: {
    readonly rows: number
    /** share of rows with the same verdict */
    readonly agree: number
    /** Krippendorff's alpha between the judge and people */
    readonly alpha: number | undefined
    /** how often: people say [weak better, tie, strong better], by what the judge says, in the same order */
    readonly confusion: readonly (readonly number[])[]
    /** how much the judge favours the strong model beyond what people say */
    readonly favour: Interval | undefined
    /** how much it favours the longer answer beyond what people say */
    readonly longer: Interval | undefined
  }
}

/** What the labels say of one pair of models. */
export interface PairReport {
  readonly strong: string
  readonly weak: string
  readonly rows: number
  readonly labels: number
  /** the strong model's win rate, ties as half: by judges and checks alone, by people alone, and corrected */
  readonly judged: Interval
  readonly human: Interval | undefined
  readonly corrected: Interval | undefined
  /** width of the corrected interval as a share of that of people alone */
  readonly shrink: number | undefined
  readonly judges: readonly JudgeReport[]
  /** agreement of the judges among themselves, and of people */
  readonly alpha: { readonly judges: number | undefined; readonly people: number | undefined }
  readonly enough: Enough
}

/** How much is known, and what more would bring. */
export interface Enough {
  /** the estimate that counts: corrected where there are labels of people, else judged */
  readonly estimate: Interval
  readonly by: 'corrected' | 'judged'
  /** interval that holds at every look, however often one looks */
  readonly any_time: Interval
  /** whether the strong model is better (the win rate is above .5), by that interval */
  readonly verdict: Side
  /** probability that the verdict changes with twice as many rows and labels */
  readonly change: number
  /** US dollars so far, and those that would halve the interval by more rows; undefined where more rows cannot */
  readonly spent_usd: number
  readonly halve_usd: number | undefined
  /** labels of people that would halve the interval; undefined where more labels cannot */
  readonly halve_labels: number | undefined
}

const LEVEL = 0.95

/** Everything about one pair. @param spentUsd of the whole collection */
export function pairReport(
  all: readonly GradedRow[],
  strong: string,
  weak: string,
  spentUsd: number,
): PairReport | undefined {
  const rows = all.filter((row) => !Number.isNaN(judgedPair(row, strong, weak)))
  if (rows.length < 2) return undefined
  const judged = rows.map((row) => judgedPair(row, strong, weak))
  const human = rows.map((row) => humanPair(row, strong, weak))
  const weights = rows.map(weightOf)
  const correction = correctJudge({ judged, human, weights })
  const labelled = human.flatMap((value, i) => (Number.isNaN(value) ? [] : [i]))
  const byPeople = studentInterval(
    labelled.map((i) => human[i]!),
    labelled.map((i) => weights[i]!),
  )
  const judgedMean = meanInterval(judged, weights, LEVEL)
  const names = [...new Set(rows.flatMap(({ comparisons }) => comparisons.map((one) => one.judge)))]
  const verdicts = rows.map(({ comparisons }) =>
    names.map((name) => {
      const its = comparisons.find(
        (one) => one.judge === name && one.a === strong && one.b === weak,
      )
      return its && meanOf([its.aFirst, its.bFirst])
    }),
  )
  return {
    strong,
    weak,
    rows: rows.length,
    labels: labelled.length,
    judged: judgedMean,
    human: byPeople,
    corrected: correction?.mean,
    shrink: correction && byPeople && widthOf(correction.mean) / widthOf(byPeople),
    judges: names.map((name) => judgeReport(rows, name, strong, weak)),
    alpha: {
      judges: names.length > 1 ? krippendorffAlpha(verdicts) : undefined,
      people: krippendorffAlpha(rows.map((row) => labelsByPerson(row, strong, weak))),
    },
    enough: enoughOf(judgedMean, rows.length, correction, spentUsd),
  }
}

const widthOf = ({ low, high }: Interval): number => high - low

/** Of a mean of few values; undefined for fewer than two. */
function studentInterval(
  values: readonly number[],
  weights: readonly number[],
): Interval | undefined {
  if (values.length < 2) return undefined
  const { value, high } = meanInterval(values, weights, LEVEL)
  const half = ((high - value) / Z_95) * studentQuantile(0.975, values.length - 1)
  return { value, low: value - half, high: value + half }
}

function labelsByPerson({ labels }: GradedRow, a: string, b: string): number[] {
  return labels.flatMap((label) => {
    const value = humanPair({ labels: [label] }, a, b)
    return Number.isNaN(value) ? [] : [value]
  })
}

/** 0, 1 or 2: the second, none, or the first is better. */
const verdictOf = (value: number): number => (value > 0.5 ? 2 : value < 0.5 ? 0 : 1)

function judgeReport(
  rows: readonly GradedRow[],
  judge: string,
  strong: string,
  weak: string,
): JudgeReport {
  let both = 0
  let agree = 0
  const first: number[] = []
  const longer: number[] = []
  const favour: number[] = []
  const longerThanPeople: number[] = []
  const pairs: number[][] = []
  const confusion = [0, 1, 2].map(() => [0, 0, 0])
  let same = 0
  for (const row of rows) {
    const its = row.comparisons.find(
      (one) => one.judge === judge && one.a === strong && one.b === weak,
    )
    if (!its) continue
    const { aFirst, bFirst } = its
    if (aFirst !== undefined && bFirst !== undefined) {
      both++
      if (aFirst === bFirst) agree++
      // the first wins more often than the second by the mean of aFirst - bFirst
      first.push(aFirst - bFirst)
    }
    const value = meanOf([aFirst, bFirst])
    const [a, b] = [row.answers.get(strong)!.text.length, row.answers.get(weak)!.text.length]
    const side = Math.sign(a - b)
    if (side !== 0) longer.push(side * (2 * value - 1))
    const human = humanPair(row, strong, weak)
    if (Number.isNaN(human)) continue
    pairs.push([value, human])
    const [said, meant] = [verdictOf(value), verdictOf(human)]
    confusion[said]![meant]!++
    if (said === meant) same++
    favour.push(value - human)
    if (side !== 0) longerThanPeople.push(side * 2 * (value - human))
  }
  const interval = (values: readonly number[]): Interval | undefined =>
    values.length < 2 ? undefined : meanInterval(values, undefined, LEVEL)
  return {
    judge,
    orders: { rows: both, agree: agree / both },
    position: interval(first),
    longer: interval(longer),
    ...(pairs.length > 0 && {
      people: {
        rows: pairs.length,
        agree: same / pairs.length,
        alpha: krippendorffAlpha(pairs),
        confusion,
        favour: interval(favour),
        longer: interval(longerThanPeople),
      },
    }),
  }
}

/** Rows around which the confidence sequence is tightest. */
const TIGHTEST_AT = { corrected: 100, judged: 500 } as const

function enoughOf(
  judged: Interval,
  rows: number,
  correction: CorrectedLabels | undefined,
  spentUsd: number,
): Enough {
  const by = correction ? 'corrected' : 'judged'
  const estimate = correction?.mean ?? judged
  const error = correction?.error ?? (judged.high - judged.value) / Z_95
  // labels come in slower than rows, and their noise is the larger part
  const looks = correction?.labels ?? rows
  const half = sequenceHalfWidth(error, looks, { tightestAt: TIGHTEST_AT[by] })
  const anyTime = { value: estimate.value, low: estimate.value - half, high: estimate.value + half }
  const quarter = error ** 2 / 4
  const ofRows = correction?.variance.rows ?? error ** 2
  const ofLabels = correction?.variance.labels ?? 0
  return {
    estimate,
    by,
    any_time: anyTime,
    verdict: sideOf(anyTime, 0.5),
    change: chanceOfChange(estimate.value, 0.5, {
      error,
      later: error / Math.SQRT2,
      width: half / error,
    }),
    spent_usd: spentUsd,
    halve_usd: ofLabels < quarter ? spentUsd * (ofRows / (quarter - ofLabels) - 1) : undefined,
    halve_labels:
      correction && ofRows < quarter
        ? Math.ceil(correction.labels * (ofLabels / (quarter - ofRows) - 1))
        : undefined,
  }
}

/** A router's curve on graded rows: at each share of strong calls the threshold, and the share of the gap recovered. */
export interface RouterCurve {
  readonly by: 'corrected' | 'judged'
  readonly apgr: Interval | undefined
  readonly points: readonly {
    readonly strong_share: number
    readonly threshold: number
    /** share of the gap between always weak and always strong that is recovered */
    readonly recovered: Interval | undefined
    /** mean loss beside always strong, as a difference of scores */
    readonly loss: Interval
  }[]
}

const SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]

/**
 * APGR, the curve and thresholds of a router, from one unbiased label per row (`CorrectedLabels.values`, or the
 * judge's own). All are ratios of weighted means of the gain 2 y - 1, with the intervals of their linearisation; APGR is
 * the mean of gain times the share of the traffic that a router's score is above, over the mean gain (equal scores
 * move together).
 */
export function routerCurve(
  winRates: ArrayLike<number>,
  labels: ArrayLike<number>,
  weights: ArrayLike<number>,
  by: RouterCurve['by'],
): RouterCurve {
  const n = labels.length
  const gain = Float64Array.from({ length: n }, (_, i) => 2 * labels[i]! - 1)
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => winRates[b]! - winRates[a]!)
  let total = 0
  for (let i = 0; i < n; i++) total += weights[i]!
  /** share of the traffic that scores lower than the row, half of that which scores the same */
  const above = new Float64Array(n)
  /** share of the traffic that goes to the strong model at the row's score as the threshold */
  const sent = new Float64Array(n)
  let passed = 0
  for (let at = 0; at < n; ) {
    let end = at
    let same = 0
    while (end < n && winRates[order[end]!] === winRates[order[at]!])
      same += weights[order[end++]!]!
    for (let k = at; k < end; k++) {
      above[order[k]!] = 1 - (passed + same / 2) / total
      sent[order[k]!] = (passed + same) / total
    }
    passed += same
    at = end
  }
  const clear = (numerator: Float64Array): Interval | undefined => {
    const base = meanInterval(gain, weights, LEVEL)
    return sideOf(base) !== 'above' ? undefined : ratioInterval(numerator, gain, weights, LEVEL)
  }
  const points = SHARES.map((share) => {
    const at = order.findLastIndex((i) => sent[i]! <= share + 1e-9)
    const threshold = at < 0 ? Number.POSITIVE_INFINITY : winRates[order[at]!]!
    const strong = gain.map((value, i) => (winRates[i]! >= threshold ? value : 0))
    const lost = gain.map((value, i) => (winRates[i]! >= threshold ? 0 : value))
    const loss = meanInterval(lost, weights, LEVEL)
    return {
      strong_share: at < 0 ? 0 : sent[order[at]!]!,
      threshold,
      recovered: clear(strong),
      loss,
    }
  })
  return { by, apgr: clear(gain.map((value, i) => value * above[i]!)), points }
}

/** The curve by the corrected labels where there are enough, and what the judge alone would have claimed. */
export function routerCurves(
  all: readonly GradedRow[],
  strong: string,
  weak: string,
  winRates: ReadonlyMap<string, number>,
): { readonly corrected: RouterCurve | undefined; readonly judged: RouterCurve } {
  const rows = all.filter((row) => !Number.isNaN(judgedPair(row, strong, weak)))
  const judged = rows.map((row) => judgedPair(row, strong, weak))
  const human = rows.map((row) => humanPair(row, strong, weak))
  const weights = rows.map(weightOf)
  const scores = rows.map(({ row }) => winRates.get(row.id)!)
  const correction = correctJudge({ judged, human, weights })
  return {
    corrected: correction && routerCurve(scores, correction.values, weights, 'corrected'),
    judged: routerCurve(scores, judged, weights, 'judged'),
  }
}

const number = (value: number): string => value.toFixed(3).replace(/^(-?)0\./, '$1.')
const shown = (interval: Interval | undefined): string =>
  interval
    ? `${number(interval.value)} [${number(interval.low)}, ${number(interval.high)}]`
    : 'unknown'
const usd = (dollars: number): string =>
  `$${dollars < 10 ? dollars.toFixed(2) : Math.round(dollars)}`

/** The report of a pair in words. */
export function pairLines(report: PairReport): string[] {
  const { strong, weak, rows, labels, judged, human, corrected, shrink, enough } = report
  const lines = [
    `${strong} beside ${weak}: ${rows} graded prompts, ${labels} labelled by people`,
    '',
  ]
  lines.push(`  win rate of ${strong} (ties count half)`)
  lines.push(`    judge alone   ${shown(judged)}  the interval knows nothing of the judge’s bias`)
  if (human) lines.push(`    people alone  ${shown(human)}`)
  if (corrected) {
    lines.push(
      `    corrected     ${shown(corrected)}  ${percent(shrink ?? 1)} as wide as by people alone`,
    )
  } else {
    lines.push(
      `    corrected     needs ${LEAST_HUMAN_LABELS} labels of people or more, better 50 to 200: weir label`,
    )
  }
  for (const judge of report.judges) {
    lines.push('', `  ${judge.judge}`)
    const { orders, people } = judge
    if (orders.rows > 0) {
      lines.push(
        `    says the same in both orders on ${percent(orders.agree)}; first answer ahead by ${shown(judge.position)}`,
      )
    }
    lines.push(`    longer answer ahead by ${shown(judge.longer)}`)
    if (!people) continue
    lines.push(
      `    agrees with people on ${percent(people.agree)} of ${people.rows} (alpha ${people.alpha === undefined ? 'undefined' : number(people.alpha)})`,
      `    favours ${strong} by ${shown(people.favour)} and the longer answer by ${shown(people.longer)} beyond people`,
      `    judge says       people: ${weak} better, tie, ${strong} better`,
      ...[`${weak} better`, 'tie', `${strong} better`].map(
        (said, i) =>
          `      ${said.padEnd(20)} ${people.confusion[i]!.map((n) => String(n).padStart(5)).join('')}`,
      ),
    )
  }
  const { judges, people } = report.alpha
  if (judges !== undefined) lines.push('', `  alpha among judges ${number(judges)}`)
  if (people !== undefined) lines.push(`  alpha among people ${number(people)}`)
  lines.push('', ...enoughLines(enough, strong, weak))
  return lines
}

/** How much is known, in words. */
export function enoughLines(enough: Enough, strong: string, weak: string): string[] {
  const said = {
    above: `${strong} is better`,
    below: `${weak} is better`,
    open: 'which is better is open',
  }[enough.verdict]
  const halves = [
    enough.halve_usd === undefined
      ? 'more prompts alone cannot halve it'
      : `about ${usd(enough.halve_usd)} more of prompts`,
    ...(enough.by === 'corrected'
      ? [
          enough.halve_labels === undefined
            ? 'more labels alone cannot'
            : `about ${enough.halve_labels} more labels of people`,
        ]
      : []),
  ]
  return [
    `  ${said}: ${shown(enough.any_time)} by an interval that holds however often one looks (${enough.by})`,
    `  chance that twice as much changes that: ${percent(enough.change)}; ${usd(enough.spent_usd)} spent; to halve the interval: ${halves.join(', or ')}`,
  ]
}

/** A router's curve in words. */
export function curveLines(
  name: string,
  { corrected, judged }: ReturnType<typeof routerCurves>,
): string[] {
  const best = corrected ?? judged
  const lines = [
    `${name}: APGR ${shown(best.apgr)} ${best.by}${corrected ? `, ${shown(judged.apgr)} by the judge alone` : ''}`,
    `  strong calls  threshold  gap recovered          loss beside always strong`,
  ]
  for (const point of best.points) {
    const threshold = Number.isFinite(point.threshold) ? number(point.threshold) : 'above all'
    lines.push(
      `  ${percent(point.strong_share).padStart(12)}  ${threshold.padStart(9)}  ${shown(point.recovered).padEnd(21)}  ${shown(point.loss)}`,
    )
  }
  return lines
}
