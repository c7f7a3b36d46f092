import type { FeedbackRecord } from '../decision-record.ts'
import { readDecisionLog } from '../log-reader.ts'
import { type LogWriter, openLogWriter } from '../log-writer.ts'
import { type FeedbackStore, latestFeedback } from './store.ts'

/** Feedback in a folder of rotated JSONL segments, in the format of the decision log. */
export async function openSegmentStore(folder: string): Promise<FeedbackStore> {
  const writer = await openLogWriter({ folder, header: { text: 'none', embedding: false } })
  return segmentStore(writer, folder, () => writer.close())
}

/** Feedback in a log that is already being written, beside its decisions. */
export function segmentStore(
  writer: LogWriter,
  folder: string,
  close: () => Promise<void> = async () => {},
): FeedbackStore {
  return {
    async record(feedback) {
      writer.append(JSON.stringify(feedback))
      await writer.flushed()
    },
    async *read(signal) {
      const records: FeedbackRecord[] = []
      for await (const { record } of readDecisionLog(folder, undefined, signal)) {
        if (record.object === 'feedback') records.push(record)
      }
      yield* latestFeedback(records)
    },
    close,
  }
}
