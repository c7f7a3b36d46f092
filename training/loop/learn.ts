import { Value } from 'typebox/value'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { roleOf } from '../../models/bundle/manifest.ts'
import { type Bundle, readBundle } from '../../models/bundle/read.ts'
import type { Router } from '../../models/router.ts'
import type { FeedbackRecord } from '../../records/decision-record.ts'
import { readAnswered } from '../../records/feedback/answered.ts'
import { type CalibrateResult, calibrate } from '../calibrate/calibrate.ts'
import { Certificate } from '../calibrate/certificate.ts'
import type { Target } from '../calibrate/target.ts'
import { evaluateOnLog, type LogPolicyReport } from '../ope/log-policy.ts'
import { type TrainOptions, type TrainResult, train } from '../train.ts'

export interface LearnOptions extends Omit<TrainOptions, 'strong' | 'weak' | 'prices' | 'choice'> {
  /** the NAME folder of the router that served */
  readonly serving: string
  /** the decision log that the dataset was read from */
  readonly log: string
  /** what the new router is calibrated for; by default what the serving router was, else its strong share */
  readonly target?: Target | undefined
  /** feedback on the log's decisions that is stored elsewhere; called for each pass over it */
  readonly feedback?: () => AsyncIterable<FeedbackRecord>
  /** the largest share of the outcomes that one API key may have rated (default 0.5) */
  readonly keyShare?: number | undefined
  /** opens the new router; tests pass one with another encoder */
  readonly load: (path: string) => Promise<Router>
  /** ISO 8601 */
  readonly date: string
}

export interface LearnResult {
  readonly trained: TrainResult
  readonly calibrated: CalibrateResult
  readonly target: Target
  /** the new router against the one that served, on the log's requests that it was not made from */
  readonly report: LogPolicyReport
  /** the new bundle's NAME folder */
  readonly candidate: string
}

/**
 * One turn of the learning loop on a served log: trains a router for the serving router's pair, calibrates it, and
 * estimates what it would have earned on the requests that it was not made from. Nothing is promoted.
 *
 * @throws the errors of `train`, `calibrate` and `evaluateOnLog`; option_invalid for a router among many models
 */
export async function learn(dataset: Dataset, options: LearnOptions): Promise<LearnResult> {
  const { serving, log, feedback, keyShare, signal, onProgress, seed, date } = options
  const served = await readBundle(serving)
  const { candidates, choice } = served.manifest
  if (choice) {
    throw new WeirError('option_invalid', {
      option: '--over',
      expected:
        'a router between a strong and a weak model (train others with weir train --models)',
      got: `${served.manifest.name}, which chooses among ${candidates.length} models`,
    })
  }
  const target = options.target ?? (await servedTarget(served, options))
  const prices = new Map(
    candidates.flatMap(({ model, price }) => (price ? [[model, price] as const] : [])),
  )
  const trained = await train(dataset, {
    ...options,
    prices,
    strong: roleOf(candidates, 'strong').model,
    weak: roleOf(candidates, 'weak').model,
  })
  const candidate = trained.bundle.path.replace(/\/[^/]+$/, '')
  const calibrated = await calibrate(
    candidate,
    { dataset },
    { target, seed, date, signal, onProgress, openRouter: options.load },
  )
  const router = await options.load(candidate)
  try {
    const report = await evaluateOnLog(log, router, {
      ...definedOnly({ feedback: feedback?.() }),
      keyShare,
      signal,
      onProgress,
    })
    return { trained, calibrated, target, report, candidate }
  } finally {
    await router.close()
  }
}

/** What the serving router was calibrated for, else the share of the log's requests that its threshold sent strong. */
async function servedTarget(
  { manifest }: Bundle,
  { log, feedback, keyShare, signal }: LearnOptions,
): Promise<Target> {
  const { certificate } = manifest.threshold
  if (Value.Check(Certificate, certificate)) return certificate.target
  const { answered } = await readAnswered(log, signal, feedback?.(), keyShare)
  const decided = answered.filter(({ decision }) => decision.win_rate !== null)
  const strong = decided.filter(({ decision }) => decision.win_rate! >= decision.threshold)
  if (decided.length === 0) {
    throw new WeirError('rows_too_few', {
      expected: 1,
      what: `decisions with feedback in ${log}`,
      got: 0,
    })
  }
  return { kind: 'strong-share', share: strong.length / decided.length }
}
