import type { Worker } from 'node:worker_threads'
import type { EncodeBatch, EncodeReply, EncodeWorkerData } from './encode-messages.ts'
import { WeirError } from './errors.ts'
import { startWorker } from './worker-entry.ts'

export interface EncodeAnswer {
  readonly values: Float32Array
  readonly truncated: Uint8Array
}

/**
 * One worker thread and the one batch it may be at. A thread that dies fails its batch and is started
 * again for the next one. It keeps the process alive only while it works.
 */
export class EncodeThread {
  private readonly data: EncodeWorkerData
  private worker: Worker | undefined
  private ready: Promise<void> | undefined
  private pending: { resolve(answer: EncodeAnswer): void; reject(error: Error): void } | undefined
  /** until the thread has answered its batch, or has died */
  private idle = Promise.resolve()
  private answered = (): void => {}
  private count = 0
  private closed = false

  constructor(data: EncodeWorkerData) {
    this.data = data
  }

  /** Resolves once the encoder is loaded there. @throws encoder_unavailable */
  start(): Promise<void> {
    this.ready ??= new Promise((resolve, reject) => {
      const worker = startWorker('./encode-worker', import.meta.url, { workerData: this.data })
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

  /** A batch under way is given up at once; the thread ends when it has answered. */
  async close(): Promise<void> {
    this.closed = true
    this.pending?.reject(this.failure('it is closed'))
    this.pending = undefined
    // ended inside the runtime's native code, as it loads or runs, a thread takes the process with it
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
