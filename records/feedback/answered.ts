import type { DecisionRecord, FeedbackRecord } from '../decision-record.ts'
import { type LogReadStats, readDecisionLog } from '../log-reader.ts'
import { type LimitedKey, withinKeyShare } from './key-share.ts'
import { feedbackKey } from './store.ts'

/** A decision and its feedback. */
export interface AnsweredDecision {
  readonly decision: DecisionRecord
  /** score of the model that answered: the weighted mean over sources of the latest rating per source */
  readonly score: number
  readonly costUsd: number | undefined
  /** scores of other models on the same request: double calls, corrections that name a model */
  readonly others: ReadonlyMap<string, number>
  /** the key that rated it, if its weight is limited */
  readonly key: string | undefined
}

export interface AnsweredLog {
  /** ordered by the time of the decision */
  readonly answered: readonly AnsweredDecision[]
  /** decisions that the decided model answered and nobody has rated (yet), ordered by their time */
  readonly unrated: readonly DecisionRecord[]
  readonly counts: {
    readonly decisions: number
    readonly feedback: number
    /** feedback replaced by later feedback from the same source */
    readonly repeated: number
    /** feedback on decisions that are not in the log */
    readonly orphaned: number
    readonly torn: number
    readonly invalid: number
  }
  /** keys that rated so many decisions that not all of them are in `answered` */
  readonly limited: readonly LimitedKey[]
  /** the text level of the logged prompts; the lowest over all segments */
  readonly text: 'none' | 'redacted' | 'full'
}

/**
 * Joins a decision log with its feedback by decision id. Feedback may come late, repeatedly, and in another
 * worker's segment than its decision. Shadow decisions, which answered no request, are left out. If another
 * model answered than was decided (a failover, a cascade), the feedback applies to the model that answered.
 *
 * @param more feedback stored elsewhere, such as in a store shared by replicas
 * @param keyShare the largest share of the answered decisions that one key may have rated; see `withinKeyShare`
 * @throws file_not_found
 */
export async function readAnswered(
  path: string,
  signal?: AbortSignal,
  more: AsyncIterable<FeedbackRecord> | Iterable<FeedbackRecord> = [],
  keyShare?: number,
): Promise<AnsweredLog> {
  const stats: LogReadStats = { torn: 0, invalid: 0 }
  const decisions = new Map<string, DecisionRecord>()
  /** decision id -> model that answered, null if none did, of requests through the gateway */
  const answers = new Map<string, string | null>()
  /** gateway id -> decision id, because feedback may use either */
  const requests = new Map<string, string>()
  const ratings = new Map<string, Map<string, FeedbackRecord>>()
  const keys = new Set<string>()
  let feedback = 0
  let repeated = 0
  let text: AnsweredLog['text'] = 'full'
  const add = (record: FeedbackRecord): void => {
    feedback++
    if (record.key !== undefined) keys.add(record.key)
    const about = ratings.get(record.decision_id) ?? new Map<string, FeedbackRecord>()
    ratings.set(record.decision_id, about)
    const key = feedbackKey(record)
    const before = about.get(key)
    if (before) repeated++
    if (!before || before.time <= record.time) about.set(key, record)
  }
  for await (const { record } of readDecisionLog(path, stats, signal)) {
    if (record.object === 'feedback') add(record)
    else if (record.object === 'log') {
      if (TEXTS.indexOf(record.text) < TEXTS.indexOf(text)) text = record.text
    } else if (record.object === 'gateway') {
      const { id: own, decision_id: id, model } = record
      if (id !== undefined) requests.set(own, id)
      if (id !== undefined) answers.set(id, model)
    } else if (record.object === 'decision' && !record.shadow) decisions.set(record.id, record)
  }
  for await (const record of more) add(record)
  for (const [request, decision] of requests) {
    const about = ratings.get(request)
    if (!about) continue
    ratings.set(decision, new Map([...about, ...(ratings.get(decision) ?? [])]))
    ratings.delete(request)
  }
  let orphaned = 0
  const answered: AnsweredDecision[] = []
  for (const [id, about] of ratings) {
    const decision = decisions.get(id)
    if (!decision) orphaned += about.size
    else {
      const one = answeredBy(decision, answers.get(id) ?? decision.model, [...about.values()])
      if (one) answered.push(one)
    }
  }
  answered.sort((a, b) => a.decision.time - b.decision.time)
  const unrated: DecisionRecord[] = []
  for (const [id, decision] of decisions) {
    const model = answers.get(id)
    if (!ratings.has(id) && (model === undefined || model === decision.model))
      unrated.push(decision)
  }
  unrated.sort((a, b) => a.time - b.time)
  const ratedBy = ({ decision, key }: AnsweredDecision) => ({ id: decision.id, key })
  const { kept, limited } = withinKeyShare(answered, ratedBy, { share: keyShare, keys: keys.size })
  return {
    answered: kept,
    unrated,
    limited,
    counts: { decisions: decisions.size, feedback, repeated, orphaned, ...stats },
    text,
  }
}

const TEXTS = ['none', 'redacted', 'full'] as const

function answeredBy(
  decision: DecisionRecord,
  answered: string,
  about: readonly FeedbackRecord[],
): AnsweredDecision | undefined {
  let [weighted, total] = [0, 0]
  const others = new Map<string, number>()
  let costUsd: number | undefined
  for (const { model = answered, score, weight = 1, cost_usd: cost } of about) {
    if (model !== decision.model) others.set(model, score)
    else {
      weighted += weight * score
      total += weight
      costUsd ??= cost
    }
  }
  if (total === 0) return undefined
  const score = weighted / total
  const key = about.find((one) => one.key !== undefined && one.role !== 'any')?.key
  return { decision, score, costUsd, others, key }
}
