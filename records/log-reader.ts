import { createReadStream, type ReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createGunzip } from 'node:zlib'
import { Compile } from 'typebox/compile'
import { WeirError } from '../core/errors.ts'
import { specialKind } from '../core/regular-file.ts'
import {
  DecisionRecord,
  FeedbackRecord,
  GatewayRecord,
  LogHeader,
  type LogRecord,
  SignalRecord,
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

/** One for each kind of record: a line of a kind that is not here would be counted as none. */
const checks: Readonly<Record<LogRecord['object'], { Check(value: unknown): boolean }>> = {
  log: Compile(LogHeader),
  decision: Compile(DecisionRecord),
  feedback: Compile(FeedbackRecord),
  gateway: Compile(GatewayRecord),
  signal: Compile(SignalRecord),
}

/**
 * Every record of a log: a folder of segments, oldest first, or one segment file. The folder may also be what a log
 * shipper made of it: folders like `date=2026-11-30` of `.jsonl` and `.jsonl.gz`. Lines cut off at the end and lines
 * that are not records are left out and counted.
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
    for await (const { text, whole } of logLines(file, signal)) {
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
  const all = await readdir(path, { withFileTypes: true })
  const entries = all.filter(({ name }) => SEGMENT.test(name) && name !== AUDIT_FILE)
  for (const found of entries) {
    const kind = specialKind(found)
    if (kind) throw refuse(join(path, found.name), kind)
  }
  const parts = all.filter((found) => found.isDirectory() && PARTITION.test(found.name))
  const nested = await Promise.all(parts.map(({ name }) => segmentFiles(join(path, name))))
  const own = entries.filter((found) => found.isFile()).map(({ name }) => join(path, name))
  return [...own, ...nested.flat()].sort()
}

const SEGMENT = /\.jsonl(\.gz)?$/
/** A folder of a layout by dates or other columns, as query engines read it. */
const PARTITION = /^[a-z_]+=[^/]+$/

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
  return check.Check(value) ? (value as LogRecord) : undefined
}

/** The contents of a `.gz`; one that was cut off ends where it was cut, as a plain file does. */
async function* unpacked(file: ReadStream): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip()
  file.once('error', (error) => gunzip.destroy(error))
  try {
    yield* file.pipe(gunzip) as AsyncIterable<Uint8Array>
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'Z_BUF_ERROR') throw error
  } finally {
    file.destroy()
  }
}

/** Lines of a file without their newline, unpacked if it is `.gz`; `whole` is false if the newline was missing. */
export async function* logLines(
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ text: string; whole: boolean }> {
  const packed = path.endsWith('.gz')
  const file = createReadStream(path, { highWaterMark: 1 << 20, signal })
  const stream = packed ? unpacked(file) : file
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of stream as AsyncIterable<Uint8Array>) {
    const chunk = decoder.decode(bytes, { stream: true })
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    for (const text of lines) yield { text, whole: true }
  }
  if (rest !== '') yield { text: rest, whole: false }
}
