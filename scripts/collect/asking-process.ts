import { WeirError } from '../../core/errors.ts'
import { collect } from './collect.ts'
import type { FromAsking, ToAsking } from './process.ts'

// The process that `collectApart` starts. It asks and records; when its parent is gone it finishes the calls under way.

const stopping = new AbortController()
const stop = (): void => stopping.abort(new WeirError('cancelled', { signal: 'its parent' }))

function tell(message: FromAsking): void {
  // the parent may be gone
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

process.on('disconnect', stop)
process.on('SIGTERM', stop)
process.on('SIGHUP', stop)
process.on('message', async (message: ToAsking) => {
  if ('stop' in message) {
    stop()
    return
  }
  try {
    const done = await collect(message.start, {
      environment: process.env,
      signal: stopping.signal,
      onProgress: (progress) => tell({ progress }),
      onNote: (note) => tell({ note }),
    })
    tell({ done })
  } catch (error) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error))
    const code = error instanceof WeirError ? { code: error.code } : {}
    tell({ failed: { ...code, message, ...(stack !== undefined && { stack }) } })
  }
  if (process.connected) process.disconnect()
})
