import { type PartialInterval, sideOf } from '../../core/stats/intervals.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { pairLabels } from '../../data/pair.ts'
import { roleOf } from '../../models/bundle/manifest.ts'
import { type Bundle, canonicalJson, readBundle } from '../../models/bundle/read.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import type { FeedbackRecord } from '../../records/decision-record.ts'
import { checkGolden, readGolden } from '../evaluate/golden/check-golden.ts'
import { rowsOfPrompts } from '../evaluate/log/scored-log.ts'
import { seenPart } from '../evaluate/log/unseen-rows.ts'
import { intervalOf } from '../ope/evaluate-policy.ts'
import { withJudgedEstimates } from '../ope/judged-estimates.ts'
import { evaluateOnLog, priceAtThreshold } from '../ope/log-policy.ts'
import { withPairEstimates } from '../ope/pair-estimates.ts'

export interface GateResult {
  readonly gate: string
  readonly passed: boolean
  readonly found: string
}

/** The data that a candidate is tested on: a held-out log of outcomes, served traffic, or both. */
export interface Evidence {
  readonly outcomes?: Dataset
  /** decision log with feedback */
  readonly log?: string
  /** feedback on the log's decisions that is stored elsewhere; called by each gate that needs it */
  readonly feedback?: () => AsyncIterable<FeedbackRecord>
  /** the largest share of the log's outcomes that one API key may have rated (default 0.5) */
  readonly keyShare?: number
  readonly golden?: string
  /** score units that a strong call must be worth; by default the rate implied by the serving threshold */
  readonly strongPrice?: number
  readonly signal?: AbortSignal | undefined
  /** tests pass one with another encoder */
  readonly load?: (path: string) => Promise<Router>
}

/** Prompts on which a graph and its folded head are compared. */
const PROBES = ['hi', 'Prove that there are infinitely many primes.', '日本語 🙂', 'x'.repeat(5000)]
const PARITY_LIMIT = 1e-6
const LEAST_ROWS = 100
/** of the folds in which missing outcomes are estimated */
const SEED = 1

/** Checks all gates; all must pass. Bundles are read completely, so hashes are verified. */
export async function checkGates(
  candidatePath: string,
  servingPath: string,
  evidence: Evidence,
): Promise<GateResult[]> {
  const [candidate, serving] = [await readBundle(candidatePath), await readBundle(servingPath)]
  const results = [samePair(candidate, serving), sameCertificate(candidate, serving)]
  if (results.some(({ passed }) => !passed)) return results
  const load = evidence.load ?? loadRouter
  const router = await load(candidatePath)
  const current = await load(servingPath)
  try {
    const difference = await router.parity(PROBES)
    results.push({
      gate: 'parity',
      passed: difference <= PARITY_LIMIT,
      found: `folded head and graph differ by ${difference.toExponential(1)}`,
    })
    if (evidence.golden) results.push(await golden(router, evidence.golden, evidence.signal))
    const price = evidence.strongPrice ?? priceAtThreshold(serving.manifest.threshold.value)
    if (evidence.outcomes) {
      results.push(
        await onOutcomes(router, current, candidate, serving, evidence.outcomes, {
          price,
          signal: evidence.signal,
        }),
      )
    }
    if (evidence.log) {
      const report = await evaluateOnLog(evidence.log, router, {
        ...(evidence.feedback ? { feedback: evidence.feedback() } : {}),
        strongPrice: price,
        keyShare: evidence.keyShare,
        signal: evidence.signal,
      })
      results.push(netValue('served traffic', report.over_served, report.rows))
    }
    return results
  } finally {
    await router.close()
    await current.close()
  }
}

function samePair(candidate: Bundle, serving: Bundle): GateResult {
  const pair = ({ manifest: { name, candidates } }: Bundle): string =>
    `${name}: ${roleOf(candidates, 'strong').model} over ${roleOf(candidates, 'weak').model}`
  const [mine, its] = [pair(candidate), pair(serving)]
  return {
    gate: 'name and pair',
    passed: mine === its,
    found: mine === its ? mine : `${mine}; serving is ${its}`,
  }
}

/** If the serving bundle has a certificate, the candidate must be certified anew for the same target. */
function sameCertificate(candidate: Bundle, serving: Bundle): GateResult {
  const gate = 'certificate'
  const its = serving.manifest.threshold.certificate
  const mine = candidate.manifest.threshold.certificate
  if (!its) return { gate, passed: true, found: 'the serving router has none' }
  if (!mine) return { gate, passed: false, found: 'the serving router has one, the candidate none' }
  const same =
    canonicalJson(mine.target) === canonicalJson(its.target) && mine.promise === its.promise
  return {
    gate,
    passed: same,
    found: same
      ? `the same promise: ${canonicalJson(mine.target)}`
      : `${canonicalJson(mine.target)} instead of ${canonicalJson(its.target)}`,
  }
}

async function golden(router: Router, path: string, signal?: AbortSignal): Promise<GateResult> {
  const result = await checkGolden(router, await readGolden(path, signal), signal)
  return {
    gate: 'golden prompts',
    passed: result.failed === 0,
    found: `${result.passed} of ${result.cases.length} passed`,
  }
}

/**
 * Net value of each router at its threshold, paired, on prompts that neither was trained on. Where one model
 * answered most of them, the missing outcomes are estimated.
 */
async function onOutcomes(
  candidate: Router,
  serving: Router,
  candidateBundle: Bundle,
  servingBundle: Bundle,
  dataset: Dataset,
  { price, signal }: { readonly price: number; readonly signal: AbortSignal | undefined },
): Promise<GateResult> {
  const { candidates } = candidate.manifest
  const pair = {
    strong: roleOf(candidates, 'strong').model,
    weak: roleOf(candidates, 'weak').model,
  }
  const estimated = await withPairEstimates(dataset, pair, { seed: SEED, signal })
  const known = pairLabels(estimated, pair.strong, pair.weak)
  const seen = [await candidateBundle.dataHashes(), await servingBundle.dataHashes()]
  const prompts = known.prompt.filter((prompt) =>
    seen.every((hashes) => !seenPart(dataset, prompt, hashes)),
  )
  if (prompts.length < LEAST_ROWS) {
    const found = `${prompts.length} prompts that neither router was made from (at least ${LEAST_ROWS})`
    return { gate: 'net value on held-out outcomes', passed: false, found }
  }
  const texts = Array.from(prompts, (prompt) => dataset.prompts[prompt]!)
  const [mine, its] = [await candidate.score(texts, signal), await serving.score(texts, signal)]
  const winRates = [mine.winRate, its.winRate]
  const judged = await withJudgedEstimates(estimated, { prompts, winRates }, SEED)
  const labels = pairLabels(judged, pair.strong, pair.weak)
  const { rows, places } = rowsOfPrompts(labels, prompts)
  const gains = Float64Array.from(rows, (row, i) => {
    const gain = 2 * labels.label[row]! - 1 - price
    const at = places[i]!
    const up = mine.winRate[at]! >= candidate.manifest.threshold.value ? gain : 0
    return up - (its.winRate[at]! >= serving.manifest.threshold.value ? gain : 0)
  })
  const value = gains.reduce((sum, gain) => sum + gain, 0) / gains.length
  const interval = intervalOf({
    value,
    influence: gains.map((gain) => gain - value),
    leftOver: 0,
  })
  return netValue('held-out outcomes', interval, rows.length)
}

/** The gate's name is no claim, as it stands before what was found: passed or not. */
export function netValue(on: string, interval: PartialInterval, rows: number): GateResult {
  const [value, low, high] = [interval.value, interval.low, interval.high].map((x) => x!.toFixed(4))
  const side = sideOf(interval)
  const said = {
    above: 'better than the serving router',
    below: 'worse than the serving router',
    open: 'not told apart from the serving router',
  }[side]
  return {
    gate: `net value on ${on}`,
    passed: side === 'above',
    found: `${said}, by ${value} (${low} to ${high}) on ${rows} rows`,
  }
}
