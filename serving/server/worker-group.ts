import cluster, { type Worker } from 'node:cluster'
import { WeirError } from '../../core/errors.ts'
import { joinedReport, type SpendReport } from '../budgets/spend.ts'
import type { ReloadReport } from '../router/fleet.ts'
import { answerTopics, openPrimaryChannel, type PrimaryChannel } from '../state/primary-channel.ts'
import type { AdminBackend, RouterStatus } from './admin.ts'
import type { PrimaryState } from './primary.ts'
import { baseUrl } from './run-server.ts'

/** What the primary asks of a worker, and what comes back. */
interface WorkerRequest {
  readonly weir: 'ask'
  readonly id: number
  readonly action: 'reload' | 'rollback' | 'routers' | 'spend' | 'metrics'
  readonly router?: string
  readonly version?: string | undefined
}
interface WorkerReply {
  readonly weir: 'told'
  readonly id: number
  readonly value?: unknown
  readonly error?: { readonly message: string }
}

export interface WorkerGroupOptions {
  readonly count: number
  readonly onNote: (message: string, error?: unknown) => void
  /** workers' metrics, as each gives them, in one text */
  readonly metrics: (reports: readonly object[]) => Promise<string>
  /** what the primary keeps for workers */
  readonly state: Pick<PrimaryState, 'handlers' | 'gone' | 'budgets'>
}

export interface WorkerGroup {
  /** The base URL, once every worker listens. @throws workers_failed where one cannot start */
  readonly started: Promise<string>
  readonly backend: AdminBackend
  /** Rejects where workers keep dying as they start. */
  readonly failed: Promise<never>
  /** Lets every worker drain, then ends. */
  stop(): Promise<void>
}

/** A worker that lives less than this did not start well. */
const QUICK_MS = 5000
/** Quick deaths in a row after which starting another one is pointless. */
const QUICK_LIMIT = 5
const ANSWER_MS = 60_000

/**
 * The primary's side of `--workers`: starts them, replaces the ones that die, and passes reloads on
 * one worker after the other, so that a bundle the first refuses is never tried on the rest.
 */
export function startWorkerGroup(options: WorkerGroupOptions): WorkerGroup {
  const { count, onNote } = options
  let stopping = false
  let quickDeaths = 0
  let asked = 0
  let listening = 0
  const waiting = new Map<number, (told: WorkerReply) => void>()
  /** one that still starts would not hear a question */
  const listeners = new WeakSet<Worker>()
  const started = deferred<string>()
  const failed = deferred<never>()
  failed.promise.catch(() => {})

  const fork = (): void => {
    const born = performance.now()
    const worker = cluster.fork()
    const port = {
      // one that has just died hears nothing
      send: (message: unknown) => void (worker.isConnected() && worker.send(message as object)),
      onMessage: (listener: (message: unknown) => void) => void worker.on('message', listener),
    }
    const { state } = options
    answerTopics(port, worker.id, state.handlers, (error) =>
      onNote('a question of a worker failed', error),
    )
    worker.on('message', (message: unknown) => {
      const told = message as WorkerReply
      if (told?.weir === 'told') waiting.get(told.id)?.(told)
    })
    worker.once('listening', ({ address, port }) => {
      listeners.add(worker)
      if (++listening === count) started.resolve(baseUrl(address, port))
    })
    worker.once('exit', (code, signal) => {
      state.gone(worker.id)
      if (stopping) return
      quickDeaths = performance.now() - born < QUICK_MS ? quickDeaths + 1 : 0
      // its own message is on standard error by now
      if (listening < count || quickDeaths >= QUICK_LIMIT) {
        stopping = true
        const error = new WeirError('workers_failed', { how: signal ?? `exit code ${code}` })
        started.reject(error)
        failed.reject(error)
        return
      }
      onNote(
        `worker ${worker.process.pid} ended (${signal ?? `exit code ${code}`}), starting another`,
      )
      fork()
    })
  }
  for (let i = 0; i < count; i++) fork()

  const ask = (worker: Worker, question: Omit<WorkerRequest, 'weir' | 'id'>): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const id = ++asked
      const settle = (told: WorkerReply): void => {
        clearTimeout(limit)
        worker.off('exit', ended)
        waiting.delete(id)
        if (told.error) reject(new WeirError('worker_refused', { reason: told.error.message }))
        else resolve(told.value)
      }
      const limit = setTimeout(
        () => settle({ weir: 'told', id, error: { message: 'a worker does not answer' } }),
        ANSWER_MS,
      )
      const ended = (): void =>
        settle({ weir: 'told', id, error: { message: 'a worker ended meanwhile' } })
      worker.once('exit', ended)
      waiting.set(id, settle)
      worker.send({ weir: 'ask', id, ...question } satisfies WorkerRequest)
    })
  const connected = (): Worker[] =>
    Object.values(cluster.workers ?? {}).filter(
      (worker): worker is Worker => worker?.isConnected() === true,
    )
  const serving = (): Worker[] => connected().filter((worker) => listeners.has(worker))
  /** What those say that live to say it: one that dies meanwhile takes its sums with it. */
  const hear = async <T>(action: WorkerRequest['action']): Promise<T[]> => {
    const asks = serving().map((worker) => ask(worker, { action }))
    const told = await Promise.allSettled(asks)
    return told.flatMap((one) => (one.status === 'fulfilled' ? [one.value as T] : []))
  }
  const askAll = async (question: Omit<WorkerRequest, 'weir' | 'id'>): Promise<ReloadReport> => {
    let first: unknown
    for (const worker of serving()) {
      const value = await ask(worker, question)
      first ??= value
      // the link on disk has moved with the first one: the others only look again
      if (question.action === 'rollback') question = { action: 'reload' }
    }
    return first as ReloadReport
  }

  return {
    started: started.promise,
    failed: failed.promise,
    backend: {
      ready: () => serving().length > 0,
      async routers() {
        const first = serving()[0]
        if (!first) throw new WeirError('server_not_ready')
        return (await ask(first, { action: 'routers' })) as RouterStatus[]
      },
      reload: () => askAll({ action: 'reload' }),
      rollback: (router, version) => askAll({ action: 'rollback', router, version }),
      spend: async () => joinedReport(await hear<SpendReport>('spend'), options.state.budgets()),
      metrics: async () => options.metrics(await hear<object>('metrics')),
    },
    async stop() {
      stopping = true
      const ends = connected().map((worker) => {
        const end = new Promise((resolve) => worker.once('exit', resolve))
        worker.process.kill('SIGTERM')
        return end
      })
      await Promise.all(ends)
    },
  }
}

/**
 * The worker's side: answers what the primary asks.
 *
 * @param metrics its own, to be added to the others'
 */
export function answerPrimary(backend: AdminBackend, metrics: () => Promise<unknown>): void {
  const answer = ({ action, router, version }: WorkerRequest): Promise<unknown> => {
    switch (action) {
      case 'reload':
        return backend.reload()
      case 'rollback':
        return backend.rollback(router!, version)
      case 'spend':
        return backend.spend()
      case 'metrics':
        return metrics()
      case 'routers':
        return backend.routers()
    }
  }
  process.on('message', async (message: unknown) => {
    const ask = message as WorkerRequest
    if (ask?.weir !== 'ask') return
    const { id } = ask
    try {
      process.send?.({ weir: 'told', id, value: await answer(ask) } satisfies WorkerReply)
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      process.send?.({ weir: 'told', id, error: { message: text } } satisfies WorkerReply)
    }
  })
}

/** A worker's channel to its primary. */
export const primaryChannel = (): PrimaryChannel =>
  openPrimaryChannel({
    send: (message) => void (process.connected && process.send?.(message)),
    onMessage: (listener) => void process.on('message', listener),
  })

/** Promise.withResolvers, which Node 20 has not. */
function deferred<T>() {
  let resolve!: (value: T | PromiseLike<T>) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
