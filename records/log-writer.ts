import { openSegments, type SegmentWriter, type SegmentWriterOptions } from '../core/segments.ts'
import type { LogContents, LogHeader } from './decision-record.ts'

export interface LogWriterOptions extends Omit<SegmentWriterOptions, 'begin'> {
  /** what the lines hold; written first in every segment */
  readonly header: LogContents
  /** tells segments of one folder apart: the process id, and the worker's where there are several */
  readonly owner?: string
  readonly now?: () => Date
}

/** Writes the lines of a decision log; feedback may lie among them. */
export type LogWriter = SegmentWriter

/** Segments whose names begin with the time they were begun, and whose first line says what they hold. */
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
