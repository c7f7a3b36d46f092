import type { FeedbackRecord } from '../decision-record.ts'

/**
 * Where feedback is kept. Where one source rates one model's answer several times, the latest rating counts, by
 * the time it was given, in whatever order they arrive; so a repeated delivery changes nothing. Both
 * implementations pass `testing/feedback-store-contract.ts`.
 */
export interface FeedbackStore {
  /** Resolves once it is on disk. @throws log_unavailable, store_unavailable */
  record(feedback: FeedbackRecord): Promise<void>
  /** The latest rating of each answer by each source, in the order of their times. */
  read(signal?: AbortSignal): AsyncIterable<FeedbackRecord>
  close(): Promise<void>
}

/** What tells the ratings of one request apart: the model that is rated and the source. */
export const feedbackKey = ({ model, source }: Pick<FeedbackRecord, 'model' | 'source'>): string =>
  `${model ?? ''}\n${source ?? ''}`

/** The latest rating of each answer by each source; of two given at the same time, the one that came later. */
export function latestFeedback(records: Iterable<FeedbackRecord>): FeedbackRecord[] {
  const latest = new Map<string, FeedbackRecord>()
  for (const record of records) {
    const key = `${record.decision_id}\n${feedbackKey(record)}`
    const before = latest.get(key)
    if (!before || before.time <= record.time) latest.set(key, record)
  }
  return [...latest.values()].sort((a, b) => a.time - b.time)
}
