import { type ErrorCode, WeirError } from '../../core/errors.ts'
import type { Progress } from '../../core/progress.ts'
import { startProcess } from '../../core/worker-entry.ts'
import type { CollectRequest, CollectSummary, CollectWatch } from './collect.ts'

/** What the process that asks is told. */
export type ToAsking = { readonly start: CollectRequest } | { readonly stop: true }
/** What it tells. */
export type FromAsking =
  | { readonly progress: Progress }
  | { readonly note: string }
  | { readonly done: CollectSummary }
  | {
      readonly failed: {
        readonly code?: ErrorCode
        readonly message: string
        readonly stack?: string
      }
    }

/**
 * Like `collect`, but in a process of its own that outlives this one: where this one is killed, calls under way are still
 * finished and recorded, so that nothing that was paid is lost or asked again. It stops by itself then, and the
 * next run on the folder waits for it.
 */
export function collectApart(
  request: CollectRequest,
  { signal, onProgress, onNote }: Omit<CollectWatch, 'environment' | 'now'>,
): Promise<CollectSummary> {
  return new Promise((resolve, reject) => {
    // a session of its own: Ctrl-C in the terminal is for this process, which tells the other
    const child = startProcess('./asking-process', import.meta.url, {
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    const stop = (): void => {
      const message: ToAsking = { stop: true }
      if (child.connected) child.send(message)
      onNote('stopping: calls under way are finished first')
    }
    const end = (settle: () => void): void => {
      signal?.removeEventListener('abort', stop)
      settle()
    }
    signal?.addEventListener('abort', stop, { once: true })
    child.on('message', (message: FromAsking) => {
      if ('progress' in message) onProgress?.(message.progress)
      else if ('note' in message) onNote(message.note)
      else if ('done' in message) end(() => resolve(message.done))
      else end(() => reject(errorOf(message.failed)))
    })
    child.once('error', (error) => end(() => reject(error)))
    // after its last message; where it ended without one, it was killed or could not start
    child.once('close', (code, killed) =>
      end(() =>
        reject(
          killed === null
            ? new Error(`the process that asks the models ended with exit code ${code}`)
            : new WeirError('cancelled', { signal: killed }),
        ),
      ),
    )
    const start: ToAsking = { start: request }
    child.send(start)
  })
}

function errorOf({
  code,
  message,
  stack,
}: Extract<FromAsking, { failed: unknown }>['failed']): Error {
  if (code !== undefined) return new WeirError(code, {}, { message })
  const error = new Error(message)
  if (stack !== undefined) error.stack = stack
  return error
}
