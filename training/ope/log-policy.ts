import { readdir } from 'node:fs/promises'
import { basename } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { promptHash } from '../../core/hash.ts'
import type { OnProgress } from '../../core/progress.ts'
import type { PartialInterval } from '../../core/stats/intervals.ts'
import { seenPartOf } from '../../models/bundle/data-hashes.ts'
import { roleOf } from '../../models/bundle/manifest.ts'
import { readBundle } from '../../models/bundle/read.ts'
import type { Router } from '../../models/router.ts'
import type { DecisionRecord, FeedbackRecord } from '../../records/decision-record.ts'
import { type AnsweredLog, readAnswered } from '../../records/feedback/answered.ts'
import { evaluatePolicy, type PolicyReport } from './evaluate-policy.ts'
import { type LoggedOutcomes, STRONG, thresholdPolicy, WEAK } from './logged.ts'
import { type ResponseReport, responseWeights } from './response-weights.ts'

export interface LogPolicyReport extends PolicyReport {
  readonly router: { readonly name: string; readonly version: string; readonly threshold: number }
  /** share of the logged requests that the policy sends strong, and that were sent strong */
  readonly strong_share: number
  readonly served_strong_share: number
  /** score units that each strong call is charged in every value of this report */
  readonly strong_price: number
  /** doubly robust, this policy minus the serving policy, without the charge: quality alone */
  readonly quality_over_served: PartialInterval
  readonly counts: AnsweredLog['counts'] & {
    /** rows with an outcome, but answered by a model outside the pair, or by a fallback without a win rate */
    readonly left_out: number
    /** rows with an outcome whose prompt the router was trained or validated on, if it was made from this log */
    readonly seen: number
  }
  /** where only some decisions are rated: each rating stands for the decisions like it */
  readonly response?: ResponseReport
  /** keys that rated more than their share, and how much of it counts */
  readonly limited_keys: AnsweredLog['limited']
}

export interface LogPolicyOptions {
  /** replaces the bundle's threshold */
  readonly threshold?: number | undefined
  /**
   * score units subtracted for a strong call; 0 values only quality. By default what the log's median threshold
   * says a strong call must gain
   */
  readonly strongPrice?: number | undefined
  /** feedback that is stored elsewhere than in the log */
  readonly feedback?: AsyncIterable<FeedbackRecord>
  /** the largest share of the outcomes that one API key may have rated (default 0.5); 1 for no limit */
  readonly keyShare?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

const CHUNK = 512

/**
 * Estimates what a router would have been worth on traffic that another one served.
 *
 * @throws log_needs if the prompts are not in the log, and the errors of `evaluatePolicy`
 */
export async function evaluateOnLog(
  path: string,
  router: Router,
  options: LogPolicyOptions = {},
): Promise<LogPolicyReport> {
  const { manifest } = router
  const log = await readAnswered(path, options.signal, options.feedback, options.keyShare)
  const { candidates } = manifest
  const pair = [roleOf(candidates, 'weak').model, roleOf(candidates, 'strong').model]
  const madeFrom = await trainingRows(router, path)
  const ofPair = ({ model, win_rate: winRate }: DecisionRecord): boolean =>
    pair.includes(model) && winRate !== null
  const known = log.answered.filter(({ decision }) => ofPair(decision))
  const unseen = known.filter(({ decision }) => !madeFrom(decision))
  const response = await responseWeights(
    unseen.map(({ decision }) => decision),
    log.unrated.filter((decision) => ofPair(decision) && !madeFrom(decision)),
  )
  const rows = response ? unseen.filter((_, i) => response.weight[i]! > 0) : unseen
  const weight = response?.weight.filter((w) => w > 0)
  const decisions = rows.map(({ decision }) => decision)
  const scores = await scoresOf(decisions, router, path, log.text, options)
  const threshold = options.threshold ?? manifest.threshold.value
  const policy = thresholdPolicy(scores.winRate, threshold)
  const rated = Float64Array.from(rows, ({ score }) => score)
  const price = options.strongPrice ?? impliedPrice(decisions)
  const charged = (amount: number): PolicyReport =>
    evaluatePolicy(
      { ...loggedOutcomes(decisions, rated, pair, scores, amount), ...(weight && { weight }) },
      policy,
    )
  const report = charged(price)
  let [strong, servedStrong] = [0, 0]
  for (let i = 0; i < rows.length; i++) {
    const own = weight?.[i] ?? 1
    strong += own * policy[2 * i + STRONG]!
    servedStrong += decisions[i]!.model === pair[STRONG] ? own : 0
  }
  return {
    router: { name: manifest.name, version: manifest.version, threshold },
    strong_share: strong / rows.length,
    served_strong_share: servedStrong / rows.length,
    strong_price: price,
    quality_over_served: price === 0 ? report.over_served : charged(0).over_served,
    ...report,
    counts: {
      ...log.counts,
      left_out: log.answered.length - known.length,
      seen: known.length - unseen.length,
    },
    ...(response && { response: response.report }),
    limited_keys: log.limited,
  }
}

/**
 * Tells which decisions of a log a router was trained or validated on: it looks better than it is on their outcomes.
 * A router that was made from other files was not made from any, though prompts may recur. Files are known by
 * their names, because the last segment of a log grows.
 */
async function trainingRows(
  { manifest, path: bundle }: Router,
  log: string,
): Promise<(decision: DecisionRecord) => boolean> {
  const files = await readdir(log).catch(() => [basename(log)])
  const own = manifest.data.sources.some(({ path }) => files.includes(basename(path)))
  if (!own) return () => false
  const hashes = await (await readBundle(bundle)).dataHashes()
  return ({ text, prompt_hash: hash }) => {
    const part =
      text === undefined ? hashes.seenIn(hash) : seenPartOf(text, promptHash(text), hashes)
    return part === 'train' || part === 'validation'
  }
}

/** What a router with this threshold says a strong call must gain to be worth it, in score units. */
export const priceAtThreshold = (threshold: number): number =>
  Math.min(1, Math.max(0, 2 * threshold - 1))

function impliedPrice(decisions: readonly DecisionRecord[]): number {
  const sorted = decisions.map(({ threshold }) => threshold).sort((a, b) => a - b)
  return priceAtThreshold(sorted[sorted.length >>> 1] ?? 0)
}

interface PolicyScores {
  readonly winRate: Float64Array
  /** n x 2, weak then strong, if the router predicts it */
  readonly quality: Float64Array | undefined
}

function loggedOutcomes(
  decisions: readonly DecisionRecord[],
  reward: Float64Array,
  pair: readonly string[],
  scores: PolicyScores,
  price: number,
): LoggedOutcomes {
  const n = decisions.length
  const action = Int32Array.from(decisions, ({ model }) => pair.indexOf(model))
  const propensity = new Float64Array(2 * n)
  decisions.forEach((decision, i) => {
    for (const a of [WEAK, STRONG]) {
      const own = a === action[i] ? decision.propensity : 0
      propensity[2 * i + a] = decision.propensities?.[pair[a]!] ?? own
    }
  })
  const columns = [
    Float64Array.from(decisions, (decision) => decision.win_rate!),
    scores.winRate,
    ...(scores.quality
      ? [WEAK, STRONG].map((a) => scores.quality!.filter((_, k) => k % 2 === a))
      : []),
  ]
  const features = new Float64Array(n * columns.length)
  columns.forEach((column, j) => {
    for (let i = 0; i < n; i++) features[i * columns.length + j] = column[i]!
  })
  return {
    n,
    actions: 2,
    action,
    propensity,
    reward: reward.map((r, i) => (action[i] === STRONG ? r - price : r)),
    features,
    featureCount: columns.length,
    ...(scores.quality
      ? { prior: scores.quality.map((q, k) => (k % 2 === STRONG ? q - price : q)) }
      : {}),
  }
}

/** Scores from the prompts or, if only the threshold changes, from the log itself. */
async function scoresOf(
  decisions: readonly DecisionRecord[],
  router: Router,
  path: string,
  text: AnsweredLog['text'],
  { signal, onProgress }: LogPolicyOptions,
): Promise<PolicyScores> {
  const { candidates, version } = router.manifest
  if (decisions.every((decision) => decision.version === version && !decision.fallback_reason)) {
    return {
      winRate: Float64Array.from(decisions, (one) => one.base_win_rate ?? one.win_rate!),
      quality: undefined,
    }
  }
  if (text !== 'full' || decisions.some((decision) => decision.text === undefined)) {
    throw new WeirError('log_needs', {
      what: 'scoring a log with another router',
      option: '--log-text full',
      path,
      got: text,
    })
  }
  const winRate = new Float64Array(decisions.length)
  let quality: Float64Array | undefined
  const places = ['weak', 'strong'].map((role) => candidates.findIndex((one) => one.role === role))
  for (let from = 0; from < decisions.length; from += CHUNK) {
    const part = decisions.slice(from, from + CHUNK)
    const scored = await router.score(
      part.map((decision) => decision.text!),
      signal,
    )
    winRate.set(scored.winRate, from)
    if (scored.quality) {
      quality ??= new Float64Array(2 * decisions.length)
      for (let i = 0; i < part.length; i++) {
        for (const a of [WEAK, STRONG]) {
          quality[2 * (from + i) + a] = scored.quality[i * candidates.length + places[a]!]!
        }
      }
    }
    onProgress?.({ stage: 'scoring the log', done: from + part.length, total: decisions.length })
  }
  return { winRate, quality }
}
