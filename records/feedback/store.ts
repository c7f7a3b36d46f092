import type { FeedbackRecord } from '../decision-record.ts'

/**
 * Stores feedback. If one source rates one model's answer several times, the rating given last counts,
 * whatever the order of arrival, so a repeated delivery changes nothing. Both implementations pass
 * `testing/feedback-store-contract.ts`.
 */
export interface FeedbackStore {
  /** Resolves once the feedback is on disk. @throws log_unavailable, store_unavailable */
  record(feedback: FeedbackRecord): Promise<void>
  /** The latest rating of each answer by each source, ordered by time. */
  read(signal?: AbortSignal): AsyncIterable<FeedbackRecord>
  close(): Promise<void>
}

/** Distinguishes the ratings of one request: the rated model and the source. */
export const feedbackKey = ({ model, source }: Pick<FeedbackRecord, 'model' | 'source'>): string =>
  `${model ?? ''}\n${source ?? ''}`

/** The latest rating of each answer by each source; of two with the same time, the one that arrived later. */
export function latestFeedback(records: Iterable<FeedbackRecord>): FeedbackRecord[] {
  const latest = new Map<string, FeedbackRecord>()
  for (const record of records) {
    const key = `${record.decision_id}\n${feedbackKey(record)}`
    const before = latest.get(key)
    if (!before || before.time <= record.time) latest.set(key, record)
  }
  return [...latest.values()].sort((a, b) => a.time - b.time)
}
