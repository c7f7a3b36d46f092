import cluster, { type Worker } from 'node:cluster'
import { randomBytes } from 'node:crypto'
import { ERRORS, type ErrorCode, WeirError } from '../../core/errors.ts'
import { joinedReport, type SpendReport } from '../budgets/spend.ts'
import { GROUP_SECRET } from '../router/decision-ids.ts'
import type { ReloadReport } from '../router/fleet.ts'
import { answerTopics, openPrimaryChannel, type PrimaryChannel } from '../state/primary-channel.ts'
import type { AdminBackend, RouterStatus } from './admin.ts'
import type { PrimaryState } from './primary.ts'
import { baseUrl, DRAIN_MS } from './run-server.ts'

/** The primary's questions to a worker, and the answers. */
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

/** The last message of a worker that cannot start. */
interface StartFailure {
  readonly weir: 'not-started'
  /** absent if the failure is a bug */
  readonly code?: ErrorCode
  readonly message: string
}

export interface WorkerGroupOptions {
  readonly count: number
  readonly onNote: (message: string, error?: unknown) => void
  /** combines workers' metrics into one text */
  readonly metrics: (reports: readonly object[]) => Promise<string>
  /** the state that the primary keeps for workers */
  readonly state: Pick<PrimaryState, 'handlers' | 'gone' | 'budgets'>
}

export interface WorkerGroup {
  /** The base URL, once every worker listens. Rejects as `failed` does. */
  readonly started: Promise<string>
  readonly backend: AdminBackend
  /** Rejects with the error of a worker that cannot start, or with workers_failed if one keeps dying. */
  readonly failed: Promise<never>
  /** Lets every worker drain, then ends. Workers that are still starting have `START_STOP_MS`. */
  stop(): Promise<void>
}

/** A worker that listened for less than this counts as a failed start. */
const QUICK_MS = 5000
/** Failed starts in a row, in one worker's place, after which the server ends. */
const QUICK_LIMIT = 5
/** Wait before a worker is restarted after its first failed start; doubles with each further one. */
const BACKOFF_MS = 200
/** Longest wait for a worker that is stopped before it listens. */
const START_STOP_MS = 2000
/** Longest wait for one that was serving: its limit for requests in progress, and time to close. */
const SERVING_STOP_MS = DRAIN_MS + 5000
const ANSWER_MS = 60_000
/** Longest wait for the end of a dead worker's channel. */
const CHANNEL_END_MS = 1000

/**
 * The primary's side of `--workers`: starts them, replaces those that die, and passes reloads on to one
 * worker at a time, so that a bundle the first refuses is never tried on the rest.
 */
export function startWorkerGroup(options: WorkerGroupOptions): WorkerGroup {
  const { count, onNote } = options
  const secret = randomBytes(32).toString('hex')
  let stopping = false
  let asked = 0
  let listening = 0
  let everStarted = false
  const restarts = new Set<NodeJS.Timeout>()
  const waiting = new Map<number, (told: WorkerReply) => void>()
  /** one that is still starting would not receive a question */
  const listeners = new WeakSet<Worker>()
  const started = deferred<string>()
  const failed = deferred<never>()
  started.promise.catch(() => {})
  failed.promise.catch(() => {})
  const fail = (error: Error): void => {
    stopping = true
    started.reject(error)
    failed.reject(error)
  }

  /** @param failures failed starts in a row in this worker's place */
  const fork = (failures = 0): void => {
    const worker = cluster.fork({ [GROUP_SECRET]: secret })
    let listensSince: number | undefined
    let startError: Error | undefined
    const port = {
      // one that has just died receives nothing
      send: (message: unknown) => void (worker.isConnected() && worker.send(message as object)),
      onMessage: (listener: (message: unknown) => void) => void worker.on('message', listener),
    }
    returnUntaken(worker, () => serving().length > 0)
    const { state } = options
    answerTopics(port, worker.id, state.handlers, (error) =>
      onNote('a question of a worker failed', error),
    )
    worker.on('message', (message: unknown) => {
      const told = message as WorkerReply | StartFailure
      if (told?.weir === 'told') waiting.get(told.id)?.(told)
      else if (told?.weir === 'not-started') startError = errorOf(told)
    })
    worker.on('error', (error) => onNote('a worker could not be reached', error))
    worker.once('listening', ({ address, port }) => {
      listeners.add(worker)
      listensSince = performance.now()
      if (++listening < count) return
      everStarted = true
      started.resolve(baseUrl(address, port))
    })
    worker.once('exit', (code, signal) => {
      state.gone(worker.id)
      const lived = listensSince === undefined ? 0 : performance.now() - listensSince
      if (listensSince !== undefined) listening--
      if (stopping) return
      const row = lived < QUICK_MS ? failures + 1 : 0
      const how = signal ?? `exit code ${code}`
      // at the start, an error of one worker would occur in all
      if ((startError && !everStarted) || row >= QUICK_LIMIT) {
        fail(startError ?? new WeirError('workers_failed', { how }))
        return
      }
      const wait = row === 0 ? 0 : BACKOFF_MS * 2 ** (row - 1)
      onNote(
        `worker ${worker.process.pid} ended (${how}), starting another in ${wait} ms`,
        startError,
      )
      const restart = setTimeout(() => {
        restarts.delete(restart)
        if (!stopping) fork(row)
      }, wait)
      restarts.add(restart)
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
  /** The answers of the workers that are alive; one that dies meanwhile is left out of the sums. */
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
      // the first one changed the link on disk: the others only reload
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
      spend: async () =>
        joinedReport(await hear<SpendReport>('spend'), await options.state.budgets()),
      metrics: async () => options.metrics(await hear<object>('metrics')),
    },
    async stop() {
      stopping = true
      for (const restart of restarts) clearTimeout(restart)
      const alive = Object.values(cluster.workers ?? {}).filter((worker) => !worker?.isDead())
      await Promise.all(
        alive.map((worker) => {
          const end = new Promise((resolve) => worker!.once('exit', resolve))
          const limit = listeners.has(worker!) ? SERVING_STOP_MS : START_STOP_MS
          const kill = setTimeout(() => worker!.process.kill('SIGKILL'), limit)
          worker!.process.kill('SIGTERM')
          return end.finally(() => clearTimeout(kill))
        }),
      )
    },
  }
}

/** The part of Node's messages between primary and worker that passes on connections; the same since Node 0.12. */
interface ClusterMessage {
  readonly cmd?: string
  readonly act?: string
  readonly seq?: number
  readonly ack?: number
}

/**
 * The primary accepts connections and passes each to a worker, keeping its own copy until the worker says that
 * it has taken it. Node forgets the copies of a worker that dies first, so that these clients would wait for ever:
 * here they go to another worker, as those do that a worker refuses; where there is none they are closed.
 *
 * @param others whether another worker is listening
 */
function returnUntaken(worker: Worker, others: () => boolean): void {
  const { process: child } = worker
  const passed = new Map<number, { close?: () => void }>()
  const send = child.send as (message: ClusterMessage, ...more: unknown[]) => boolean
  child.send = (message: ClusterMessage, ...more: unknown[]): boolean => {
    if (message?.cmd === 'NODE_CLUSTER' && message.act === 'newconn') {
      passed.set(message.seq!, (more[0] ?? {}) as { close?: () => void })
    }
    return send.call(child, message, ...more)
  }
  child.on('internalMessage', ({ ack }: ClusterMessage) => {
    if (ack !== undefined) passed.delete(ack)
  })
  let disconnected = false
  child.once('disconnect', () => {
    disconnected = true
  })
  const settle = (tries: number): void => {
    // the rest of what it said is still to be read
    if (child.connected && tries > 0) {
      setTimeout(settle, CHANNEL_END_MS / 20, tries - 1)
      return
    }
    // Node waits for the answer of the dead worker first; this takes it off the list of those that get connections
    if (!disconnected) child.emit('disconnect')
    for (const [ack, handle] of passed) {
      if (others()) child.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack, accepted: false })
      else handle.close?.()
    }
    passed.clear()
  }
  worker.once('exit', () => setImmediate(settle, 20))
}

function errorOf({ code, message }: StartFailure): Error {
  if (code !== undefined && code in ERRORS) return new WeirError(code, {}, { message })
  const bug = new Error(message)
  bug.stack = message
  return bug
}

/** Reports to the primary why this worker cannot start or continue, and ends it. */
export function endWorker(error: unknown): Promise<never> {
  const known = error instanceof WeirError
  const failure: StartFailure = known
    ? { weir: 'not-started', code: error.code, message: error.message }
    : {
        weir: 'not-started',
        message: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }
  return new Promise(() => {
    const exit = (): never => process.exit(known ? error.exitCode : 70)
    // the channel is closed if the primary has ended
    if (process.send && process.connected) process.send(failure, exit)
    else exit()
  })
}

/**
 * The worker's side: answers what the primary asks.
 *
 * @param metrics those of this worker, to be added to the others'
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

/** Promise.withResolvers, which Node 20 lacks. */
function deferred<T>() {
  let resolve!: (value: T | PromiseLike<T>) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
