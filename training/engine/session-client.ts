import type { Worker } from 'node:worker_threads'
import { WeirError } from '../../core/errors.ts'
import { startWorker } from '../../core/worker-entry.ts'

export interface WireTensor {
  readonly shape: readonly number[]
  readonly values: Float32Array | Int32Array | BigInt64Array
}
type Tensors = Readonly<Record<string, WireTensor>>

type Command =
  | { kind: 'load'; name: string; model: Uint8Array; threads: number }
  | { kind: 'keep'; name: string; tensor: WireTensor }
  | ({ kind: 'run'; name: string } & RunRequest)
  | { kind: 'read'; names: readonly string[] }
export type SessionRequest = Command & { readonly id: number }
export interface SessionReply {
  readonly id: number
  readonly result?: { version?: string; tensors?: Tensors } | undefined
  readonly error?: string
}

export interface RunRequest {
  /** input name -> values sent with the request */
  readonly feeds: Tensors
  /** input name -> name of a tensor the worker holds */
  readonly kept: Readonly<Record<string, string>>
  /** output name -> name under which the worker holds it from now on */
  readonly keep: Readonly<Record<string, string>>
  /** outputs sent back */
  readonly fetch: readonly string[]
}

/** Runs ONNX graphs in a worker thread, which holds named tensors between runs. */
export class SessionClient {
  private readonly worker: Worker
  private readonly waiting = new Map<number, PromiseWithResolvers<SessionReply['result']>>()
  private count = 0
  private unanswered = 0
  /** resolves once the thread has answered all requests or has ended */
  private readonly idle = withResolvers<void>()
  private ended: WeirError | undefined

  constructor() {
    this.worker = startWorker('./session-worker', import.meta.url)
    this.worker.on('message', (reply: SessionReply) => {
      const call = this.waiting.get(reply.id)
      this.waiting.delete(reply.id)
      if (--this.unanswered === 0) {
        this.worker.unref()
        if (this.ended) this.idle.resolve()
      }
      if (reply.error === undefined) call?.resolve(reply.result)
      else call?.reject(failure(reply.error))
    })
    this.worker.on('error', (error) => this.failAll(failure(String(error), error)))
    this.worker.on('exit', () => {
      this.failAll(failure('its thread ended'))
      this.idle.resolve()
    })
    this.worker.unref()
  }

  /** Returns the version of the runtime. */
  async load(name: string, model: Uint8Array, threads: number): Promise<string> {
    const result = await this.call({ kind: 'load', name, model, threads })
    return result?.version ?? 'unknown'
  }

  /** @param consume transfers the values' memory instead of copying it, if they own all of it */
  async keep(name: string, tensor: WireTensor, consume = false): Promise<void> {
    const { shape, values } = tensor
    const whole = values.byteLength === values.buffer.byteLength
    // copied here and transferred: posting would make another copy meanwhile
    const sent = consume && whole ? values : values.slice()
    await this.call({ kind: 'keep', name, tensor: { shape, values: sent } }, [
      sent.buffer as ArrayBuffer,
    ])
  }

  async run(name: string, request: RunRequest): Promise<Tensors> {
    return (await this.call({ kind: 'run', name, ...request }))?.tensors ?? {}
  }

  async read(names: readonly string[]): Promise<Tensors> {
    return (await this.call({ kind: 'read', names }))?.tensors ?? {}
  }

  /** Rejects pending calls at once; the thread ends when it has answered them. */
  async close(): Promise<void> {
    this.failAll(failure('it is closed'))
    // terminating a thread inside the runtime's native code would end the process
    if (this.unanswered > 0) await this.idle.promise
    await this.worker.terminate()
  }

  private call(
    command: Command,
    moved: readonly ArrayBuffer[] = [],
  ): Promise<SessionReply['result']> {
    if (this.ended) return Promise.reject(this.ended)
    const id = this.count++
    const call = withResolvers<SessionReply['result']>()
    this.waiting.set(id, call)
    this.unanswered++
    this.worker.ref()
    this.worker.postMessage({ ...command, id } satisfies SessionRequest, moved)
    return call.promise
  }

  private failAll(error: WeirError): void {
    this.ended ??= error
    for (const call of this.waiting.values()) call.reject(error)
    this.waiting.clear()
  }
}

interface PromiseWithResolvers<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
}

/** Promise.withResolvers, which Node 20 does not have. */
function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve!: (value: T) => void
  let reject!: (error: Error) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

function failure(reason: string, cause?: unknown): WeirError {
  return new WeirError('onnx_failed', { action: 'run the training graph', reason }, { cause })
}
