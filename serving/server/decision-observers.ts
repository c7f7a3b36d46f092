import { dirname } from 'node:path'
import { makeFolders } from '../../core/files.ts'
import { printable } from '../../core/printable.ts'
import { LineBuffer } from '../../core/segments.ts'
import {
  type DecisionRecord,
  decisionLine,
  type LogContents,
} from '../../records/decision-record.ts'
import type { LogWriter } from '../../records/log-writer.ts'
import { loggedText } from '../../records/redaction.ts'
import type { DecisionEvent, DecisionObserver } from '../router/observer.ts'

export interface DecisionLines {
  readonly observe: DecisionObserver
  /** Writes a message for operators as a line between the decisions. */
  readonly warn: (message: string, error?: unknown) => void
  close(): Promise<void>
}

/** Bytes buffered before a write; the buffer is also written every quarter of a second. */
const BUFFER_BYTES = 1 << 18
const FLUSH_MS = 250

/** Writes one pino line per decision, to a file or standard error. Pino is opened in this file only. */
export async function openDecisionLines(file: string | undefined): Promise<DecisionLines> {
  const { pino } = await import('pino')
  if (file !== undefined) makeFolders(dirname(file))
  const destination = pino.destination({ dest: file ?? 2, sync: false })
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.epochTime }, destination)
  const buffer = new LineBuffer()
  let closed = false
  const flush = (): void => {
    if (buffer.lines > 0 && !closed) destination.write(printable(buffer.take().toString()))
  }
  const timer = setInterval(flush, FLUSH_MS)
  timer.unref()
  return {
    observe(event) {
      buffer.add(printedLine(event))
      if (buffer.length >= BUFFER_BYTES) flush()
    },
    warn(message, error) {
      if (closed) return
      flush()
      logger.warn(
        error instanceof Error ? { err: { message: printable(error.message) } } : {},
        printable(message),
      )
    },
    close: () =>
      new Promise((resolve) => {
        clearInterval(timer)
        flush()
        closed = true
        // not `flush`: it may call back between two writes, before the last lines are written
        destination.once('close', resolve)
        destination.end()
      }),
  }
}

/**
 * The line pino would write for these fields, written by hand: from an object it costs 14 microseconds per
 * decision. Fields with arbitrary text go through JSON.stringify.
 */
function printedLine({ decision, shadow, hash, time }: DecisionEvent): string {
  const { id, router, model, win_rate, threshold, reason, timing_ms } = decision
  const names = `"router":${JSON.stringify(router.name)},"version":"${router.version}","model":${JSON.stringify(model)}`
  return `{"level":30,"time":${time},"id":"${id}",${names},"win_rate":${win_rate},"threshold":${threshold},"reason":"${reason}","ms":${timing_ms},"prompt":"${hash.slice(0, 16)}"${shadow ? ',"shadow":true' : ''},"msg":"decision"}`
}

/** Writes every decision to the log: by default only its prompt's hash, other fields as switched on. */
export function logObserver(
  writer: LogWriter,
  holds: Pick<LogContents, 'text' | 'embedding'>,
): DecisionObserver {
  return (event) => {
    const record = toRecord(event)
    if (holds.text !== 'none') {
      const { text, cut } = loggedText(event.text, holds.text)
      record.text = text
      if (cut) record.cut = ['text']
    }
    if (!holds.embedding) {
      writer.append(decisionLine(record))
      return
    }
    event.live.router.embed([event.text]).then(
      (embeddings) => {
        if (embeddings.kind === 'dense') {
          const { buffer, byteOffset, byteLength } = embeddings.values
          record.embedding = Buffer.from(buffer, byteOffset, byteLength).toString('base64')
        }
        writer.append(decisionLine(record))
      },
      // log it without its embedding rather than not at all
      () => writer.append(decisionLine(record)),
    )
  }
}

function toRecord({
  decision,
  request,
  hash,
  time,
  shadow,
  baseWinRate,
}: DecisionEvent): DecisionRecord {
  const record: DecisionRecord = {
    object: 'decision',
    id: decision.id,
    time,
    router: decision.router.name,
    version: decision.router.version,
    model: decision.model,
    win_rate: decision.win_rate,
    threshold: decision.threshold,
    reason: decision.reason,
    propensity: decision.propensity,
    prompt_hash: hash,
  }
  if (decision.propensity < 1) {
    record.propensities = Object.fromEntries(
      decision.candidates.map(({ model, propensity }) => [model, propensity]),
    )
  }
  if (decision.choice) {
    record.choice = decision.choice
    record.scores = Object.fromEntries(
      decision.candidates.map(({ model, score }) => [model, score]),
    )
  }
  if (baseWinRate !== undefined) record.base_win_rate = baseWinRate
  if (shadow) record.shadow = true
  if (decision.audit) record.audit = true
  if (decision.fallback_reason !== null) record.fallback_reason = decision.fallback_reason
  if (request.session_id !== undefined) record.session_id = request.session_id
  return record
}
