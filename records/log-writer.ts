import { openSegments, type SegmentWriter, type SegmentWriterOptions } from '../core/segments.ts'
import type { LogContents, LogHeader } from './decision-record.ts'

export interface LogWriterOptions extends Omit<SegmentWriterOptions, 'begin'> {
  /** what the lines contain; written first in every segment */
  readonly header: LogContents
  /** distinguishes segments of one folder: the process id, plus the worker's id if there are several */
  readonly owner?: string
  readonly now?: () => Date
}

/** Writes the lines of a decision log, which may include feedback. */
export type LogWriter = SegmentWriter

/** Writes segments whose names begin with their start time and whose first line describes their contents. */
export function openLogWriter(options: LogWriterOptions): Promise<LogWriter> {
  const { header, owner = String(process.pid), now = () => new Date(), ...rest } = options
  return openSegments({
    ...rest,
    begin(segment) {
      const created = now().toISOString()
      const stamp = created.replace(/[-:.Z]/g, '')
      const first = { object: 'log', format: 1, created, ...header } satisfies LogHeader
      return {
        name: `${stamp}-${owner}-${String(segment).padStart(4, '0')}.jsonl`,
        header: JSON.stringify(first),
      }
    },
  })
}
