import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Compile } from 'typebox/compile'
import { WeirError } from '../core/errors.ts'
import { specialKind } from '../core/regular-file.ts'
import {
  DecisionRecord,
  FeedbackRecord,
  GatewayRecord,
  LogHeader,
  type LogRecord,
} from './decision-record.ts'

export interface LogLine {
  readonly record: LogRecord
  readonly path: string
  /** from 1 */
  readonly line: number
}

/** Counts of skipped lines, filled while reading. */
export interface LogReadStats {
  /** number of segments whose last line was cut off by a crash */
  torn: number
  /** number of complete lines that are not records, and the position of the first */
  invalid: number
  firstInvalid?: string
}

/** Log of changes to what is served; lies beside the segments and is not one of them. */
export const AUDIT_FILE = 'audit.jsonl'

const checks = {
  log: Compile(LogHeader),
  decision: Compile(DecisionRecord),
  feedback: Compile(FeedbackRecord),
  gateway: Compile(GatewayRecord),
}

/**
 * Every record of a log: a folder of segments, oldest first, or one segment file. Lines cut off at the end
 * and lines that are not records are left out and counted.
 *
 * @throws file_not_found
 */
export async function* readDecisionLog(
  path: string,
  stats: LogReadStats = { torn: 0, invalid: 0 },
  signal?: AbortSignal,
): AsyncGenerator<LogLine> {
  for (const file of await segmentFiles(path)) {
    let line = 0
    for await (const { text, whole } of linesOf(file, signal)) {
      line++
      if (text === '') continue
      const record = parseRecord(text)
      if (record) {
        yield { record, path: file, line }
      } else if (!whole) {
        stats.torn++
      } else {
        stats.invalid++
        stats.firstInvalid ??= `${file}:${line}`
      }
    }
  }
}

/**
 * The segment files of a log, oldest first; their names begin with their start time.
 *
 * @throws file_not_found; file_unreadable for a symbolic link, FIFO, socket or device among them
 */
export async function segmentFiles(path: string): Promise<string[]> {
  const entry = await stat(path).catch(() => undefined)
  if (!entry) throw new WeirError('file_not_found', { path })
  const refuse = (at: string, kind: string): WeirError =>
    new WeirError('file_unreadable', { path: at, reason: `it is ${kind}; expected a file` })
  if (!entry.isDirectory()) {
    const kind = specialKind(entry)
    if (kind) throw refuse(path, kind)
    return [path]
  }
  const entries = (await readdir(path, { withFileTypes: true })).filter(
    ({ name }) => name.endsWith('.jsonl') && name !== AUDIT_FILE,
  )
  for (const found of entries) {
    const kind = specialKind(found)
    if (kind) throw refuse(join(path, found.name), kind)
  }
  return entries.map(({ name }) => join(path, name)).sort()
}

function parseRecord(text: string): LogRecord | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { object } = (value ?? {}) as { object?: unknown }
  if (typeof object !== 'string' || !Object.hasOwn(checks, object)) return undefined
  const check = checks[object as keyof typeof checks]
  return check.Check(value) ? value : undefined
}

/** Lines without their newline; `whole` is false if the newline was missing. */
async function* linesOf(
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ text: string; whole: boolean }> {
  const stream = createReadStream(path, { encoding: 'utf8', highWaterMark: 1 << 20, signal })
  let rest = ''
  for await (const chunk of stream as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    for (const text of lines) yield { text, whole: true }
  }
  if (rest !== '') yield { text: rest, whole: false }
}
