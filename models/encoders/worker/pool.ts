import { availableParallelism } from 'node:os'
import type { Worker } from 'node:worker_threads'
import { cancelled, throwIfAborted } from '../../../core/abort.ts'
import { WeirError } from '../../../core/errors.ts'
import { startWorker } from '../../../core/worker-entry.ts'
import type { Encoded, Encoder, EncoderSpec } from '../encoder.ts'
import type { EncodeBatch, EncodeReply, EncodeWorkerData } from './messages.ts'

export interface EncodeWorkerOptions {
  /** number of encoding threads; by default one fewer than the cores, at least one */
  readonly workers?: number
  /** threads inside one operator, per worker; 1 by default */
  readonly threads?: number
  /** prompts sent to a worker at a time; 8 by default */
  readonly batch?: number
  /** maximum number of waiting prompts; further calls are refused. 1,024 by default */
  readonly queueLimit?: number
  /** time limit in milliseconds for a call with one prompt; 10,000 by default */
  readonly deadlineMs?: number
}

/** Milliseconds added to a call's deadline per further prompt. */
const DEADLINE_PER_PROMPT = 200

interface Call {
  readonly prompts: readonly string[]
  readonly values: Float32Array
  readonly truncated: Uint8Array
  /** prompts sent to workers, and prompts answered */
  taken: number
  done: number
  settled: boolean
  readonly resolve: (encoded: Encoded) => void
  readonly reject: (error: unknown) => void
}

/**
 * Runs the encoder of a spec in worker threads. Overlapping calls share batches, a free worker takes waiting
 * prompts at once, and the queue is bounded in length and in time.
 *
 * @throws from `encode`: encoder_busy (too many wait), encoder_late (the deadline), cancelled, encoder_unavailable
 */
export async function startEncodeWorkers(
  spec: EncoderSpec,
  files: ReadonlyMap<string, Uint8Array>,
  options: EncodeWorkerOptions = {},
): Promise<Encoder> {
  const d = spec.dimension
  const { batch = 8, queueLimit = 1024, deadlineMs = 10_000, threads = 1 } = options
  const size = options.workers ?? Math.max(1, availableParallelism() - 1)
  const pool = Array.from({ length: size }, () => new EncodeThread({ spec, files, threads }))
  try {
    await Promise.all(pool.map((thread) => thread.start()))
  } catch (error) {
    await Promise.all(pool.map((thread) => thread.close()))
    throw error
  }
  const idle = [...pool]
  const queue: Call[] = []
  let waiting = 0

  function dispatch(): void {
    while (idle.length > 0 && waiting > 0) {
      const thread = idle.pop()!
      const taken = take(Math.min(batch, Math.ceil(waiting / size)))
      void work(thread, taken).finally(() => {
        idle.push(thread)
        dispatch()
      })
    }
  }

  /** The next prompts in order of arrival, from as many calls as needed. */
  function take(limit: number): Taken[] {
    const taken: Taken[] = []
    while (taken.length < limit) {
      const call = queue[0]
      if (!call) break
      taken.push({ call, row: call.taken++ })
      waiting--
      if (call.taken === call.prompts.length) queue.shift()
    }
    return taken
  }

  async function work(thread: EncodeThread, taken: readonly Taken[]): Promise<void> {
    try {
      const { values, truncated } = await thread.encode(
        taken.map(({ call, row }) => call.prompts[row]!),
      )
      for (const [place, { call, row }] of taken.entries()) {
        call.values.set(values.subarray(place * d, (place + 1) * d), row * d)
        call.truncated[row] = truncated[place]!
        call.done++
        if (call.done === call.prompts.length) call.resolve(answerOf(call, d))
      }
    } catch (error) {
      for (const call of new Set(taken.map(({ call }) => call))) call.reject(error)
    }
  }

  /** Removes a finished call from the queue; results that a worker still returns for it are dropped. */
  function leave(call: Call): void {
    const place = queue.indexOf(call)
    if (place < 0) return
    queue.splice(place, 1)
    waiting -= call.prompts.length - call.taken
  }

  return {
    spec,
    async encode(prompts, signal): Promise<Encoded> {
      throwIfAborted(signal)
      const n = prompts.length
      const values = new Float32Array(n * d)
      const truncated = new Uint8Array(n)
      if (n === 0) return answerOf({ prompts, values, truncated }, d)
      if (waiting >= queueLimit) throw new WeirError('encoder_busy', { waiting })
      const deadline = deadlineMs + DEADLINE_PER_PROMPT * (n - 1)
      return new Promise((resolve, reject) => {
        const end = (call: Call): void => {
          call.settled = true
          clearTimeout(timer)
          signal?.removeEventListener('abort', abort)
          leave(call)
        }
        const call: Call = {
          prompts,
          values,
          truncated,
          taken: 0,
          done: 0,
          settled: false,
          resolve(encoded) {
            if (call.settled) return
            end(call)
            resolve(encoded)
          },
          reject(error) {
            if (call.settled) return
            end(call)
            reject(error)
          },
        }
        const abort = (): void => call.reject(cancelled(signal!))
        const late = (): void => call.reject(new WeirError('encoder_late', { deadline }))
        const timer = setTimeout(late, deadline)
        signal?.addEventListener('abort', abort, { once: true })
        queue.push(call)
        waiting += n
        dispatch()
      })
    },
    async close() {
      const closed = new WeirError('encoder_unavailable', {
        encoder: spec.kind,
        reason: 'it is closed',
      })
      for (const call of [...queue]) call.reject(closed)
      await Promise.all(pool.map((thread) => thread.close()))
    },
  }
}

interface Taken {
  readonly call: Call
  readonly row: number
}

const answerOf = (
  { prompts, values, truncated }: Pick<Call, 'prompts' | 'values' | 'truncated'>,
  dimension: number,
): Encoded => ({
  embeddings: { kind: 'dense', rows: prompts.length, dimension, values },
  truncated,
})

export interface EncodeAnswer {
  readonly values: Float32Array
  readonly truncated: Uint8Array
}

/**
 * One worker thread and its current batch, at most one. If the thread dies, its batch fails and it is
 * restarted for the next one. It keeps the process alive only while it works.
 */
export class EncodeThread {
  private readonly data: EncodeWorkerData
  private worker: Worker | undefined
  private ready: Promise<void> | undefined
  private pending: { resolve(answer: EncodeAnswer): void; reject(error: Error): void } | undefined
  /** resolves when the thread has answered its batch or has died */
  private idle = Promise.resolve()
  private answered = (): void => {}
  private count = 0
  private closed = false

  constructor(data: EncodeWorkerData) {
    this.data = data
  }

  /** Resolves once the encoder is loaded in the thread. @throws encoder_unavailable */
  start(): Promise<void> {
    this.ready ??= new Promise((resolve, reject) => {
      const worker = startWorker('../encode-worker', import.meta.url, { workerData: this.data })
      this.worker = worker
      worker.on('message', (reply: EncodeReply) => {
        if (reply.kind === 'ready') {
          worker.unref()
          resolve()
        } else if (reply.kind === 'broken') reject(this.failure(reply.reason))
        else this.settle(reply)
      })
      const end = (reason: string): void => {
        if (this.worker !== worker) return
        this.worker = undefined
        this.ready = undefined
        reject(this.failure(reason))
        this.pending?.reject(this.failure(reason))
        this.pending = undefined
        this.answered()
      }
      worker.on('error', (error) => end(String(error)))
      worker.on('exit', (code) => end(`its thread ended with code ${code}`))
    })
    return this.ready
  }

  async encode(prompts: readonly string[]): Promise<EncodeAnswer> {
    if (this.closed) throw this.failure('it is closed')
    await this.start()
    if (this.closed) throw this.failure('it is closed')
    return new Promise((resolve, reject) => {
      this.pending = { resolve, reject }
      this.idle = new Promise((answered) => {
        this.answered = answered
      })
      this.worker!.ref()
      this.worker!.postMessage({ id: this.count++, prompts } satisfies EncodeBatch)
    })
  }

  /** Abandons the current batch at once; the thread ends when it has answered. */
  async close(): Promise<void> {
    this.closed = true
    this.pending?.reject(this.failure('it is closed'))
    this.pending = undefined
    // a thread terminated inside the runtime's native code, while loading or running, crashes the process
    await this.ready?.catch(() => {})
    await this.idle
    await this.worker?.terminate()
  }

  private settle(reply: Extract<EncodeReply, { kind: 'done' | 'failed' }>): void {
    const { pending } = this
    this.pending = undefined
    this.answered()
    this.worker?.unref()
    if (reply.kind === 'done') pending?.resolve(reply)
    else pending?.reject(this.failure(reply.reason))
  }

  private failure(reason: string): WeirError {
    return new WeirError('encoder_unavailable', { encoder: this.data.spec.kind, reason })
  }
}
