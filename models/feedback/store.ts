import type { FeedbackRecord } from '../decision-log/record.ts'

/**
 * Where feedback is kept. Of several words of one source on one model's answer the last one counts, by
 * the time it was said, in whatever order they arrive; so a repeated delivery changes nothing. Both
 * implementations pass `test/models/feedback/store-contract.ts`.
 */
export interface FeedbackStore {
  /** Resolves once it is on disk. @throws log_unavailable, store_unavailable */
  record(feedback: FeedbackRecord): Promise<void>
  /** The last word of each source on each answer, in the order of their times. */
  read(signal?: AbortSignal): AsyncIterable<FeedbackRecord>
  close(): Promise<void>
}
