import type { DecisionObserver } from './decision/observer.ts'

export interface DecisionLines {
  readonly observe: DecisionObserver
  /** Operators' messages go the same way, as lines of their own. */
  readonly warn: (message: string, error?: unknown) => void
  close(): Promise<void>
}

/** Characters gathered before a write: decisions are told in clumps, at the latest every second. */
const CLUMP = 1 << 16

/** One pino line a decision, to a file or standard error. Opens pino, this file being its only door. */
export async function openDecisionLines(file: string | undefined): Promise<DecisionLines> {
  const { pino } = await import('pino')
  const destination = pino.destination({
    dest: file ?? 2,
    sync: false,
    minLength: CLUMP,
    maxWrite: 2 * CLUMP,
    mkdir: true,
  })
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.epochTime }, destination)
  const timer = setInterval(() => destination.flush(), 1000)
  timer.unref()
  return {
    observe({ decision, shadow, hash }) {
      logger.info(
        {
          id: decision.id,
          router: decision.router.name,
          version: decision.router.version,
          model: decision.model,
          win_rate: decision.win_rate,
          threshold: decision.threshold,
          reason: decision.reason,
          ms: decision.timing_ms,
          prompt: hash.slice(0, 16),
          ...(shadow ? { shadow } : {}),
        },
        'decision',
      )
    },
    warn(message, error) {
      logger.warn(error instanceof Error ? { err: { message: error.message } } : {}, message)
    },
    close: () =>
      new Promise((resolve) => {
        clearInterval(timer)
        destination.flush(() => resolve())
      }),
  }
}
