import type { FeedbackRecord } from '../decision-record.ts'

/**
 * Where feedback is kept. Of several words of one source on one model's answer the last one counts, by
 * the time it was said, in whatever order they arrive; so a repeated delivery changes nothing. Both
 * implementations pass `test/records/feedback/store-contract.ts`.
 */
export interface FeedbackStore {
  /** Resolves once it is on disk. @throws log_unavailable, store_unavailable */
  record(feedback: FeedbackRecord): Promise<void>
  /** The last word of each source on each answer, in the order of their times. */
  read(signal?: AbortSignal): AsyncIterable<FeedbackRecord>
  close(): Promise<void>
}

/** One source has one last word on one model's answer to one request. */
export const feedbackKey = ({ model, source }: Pick<FeedbackRecord, 'model' | 'source'>): string =>
  `${model ?? ''}\n${source ?? ''}`

/** The last word of each source on each answer; of two said at the same time, the one that came later. */
export function lastWords(records: Iterable<FeedbackRecord>): FeedbackRecord[] {
  const words = new Map<string, FeedbackRecord>()
  for (const record of records) {
    const key = `${record.decision_id}\n${feedbackKey(record)}`
    const before = words.get(key)
    if (!before || before.time <= record.time) words.set(key, record)
  }
  return [...words.values()].sort((a, b) => a.time - b.time)
}
