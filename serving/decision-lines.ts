import { LineBuffer } from '../models/decision-log/line-buffer.ts'
import type { DecisionEvent, DecisionObserver } from './decision/observer.ts'

export interface DecisionLines {
  readonly observe: DecisionObserver
  /** Operators' messages go the same way, as lines of their own. */
  readonly warn: (message: string, error?: unknown) => void
  close(): Promise<void>
}

/** Bytes gathered before a write; what there is is written every quarter of a second. */
const CLUMP = 1 << 18
const FLUSH_MS = 250

/** One pino line a decision, to a file or standard error. Opens pino, this file being its only door. */
export async function openDecisionLines(file: string | undefined): Promise<DecisionLines> {
  const { pino } = await import('pino')
  const destination = pino.destination({ dest: file ?? 2, sync: false, mkdir: true })
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.epochTime }, destination)
  const clump = new LineBuffer()
  let closed = false
  const flush = (): void => {
    if (clump.lines > 0 && !closed) destination.write(clump.take().toString())
  }
  const timer = setInterval(flush, FLUSH_MS)
  timer.unref()
  return {
    observe(event) {
      clump.add(decisionLine(event))
      if (clump.length >= CLUMP) flush()
    },
    warn(message, error) {
      if (closed) return
      flush()
      logger.warn(error instanceof Error ? { err: { message: error.message } } : {}, message)
    },
    close: () =>
      new Promise((resolve) => {
        clearInterval(timer)
        flush()
        closed = true
        // not `flush`: it may call back between two writes, with the last lines still to come
        destination.once('close', resolve)
        destination.end()
      }),
  }
}

/**
 * The line pino would write for these fields, put together by hand: as an object it costs 14
 * microseconds a decision, like this one. What may hold any text goes through JSON.stringify.
 */
function decisionLine({ decision, shadow, hash, time }: DecisionEvent): string {
  const { id, router, model, win_rate, threshold, reason, timing_ms } = decision
  const names = `"router":${JSON.stringify(router.name)},"version":"${router.version}","model":${JSON.stringify(model)}`
  return `{"level":30,"time":${time},"id":"${id}",${names},"win_rate":${win_rate},"threshold":${threshold},"reason":"${reason}","ms":${timing_ms},"prompt":"${hash.slice(0, 16)}"${shadow ? ',"shadow":true' : ''},"msg":"decision"}`
}
