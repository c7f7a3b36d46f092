import { parentPort, type TransferListItem, type Worker } from 'node:worker_threads'
import { type ErrorCode, WeirError } from './errors.ts'
import { startWorker } from './worker-entry.ts'

type Reply = { readonly id: number } & (
  | { readonly value: unknown }
  | { readonly code: ErrorCode | undefined; readonly message: string }
)

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** What a thread answers, and the buffers in it that are moved instead of copied. */
export interface Answer {
  readonly value: unknown
  readonly moved?: readonly TransferListItem[]
}

/** Answers the questions of an `AskedThread`, one after the other: called in the thread. */
export function answerQuestions<Question>(answer: (question: Question) => Answer): void {
  parentPort!.on('message', ({ id, question }: { id: number; question: Question }) => {
    try {
      const { value, moved = [] } = answer(question)
      parentPort!.postMessage({ id, value } satisfies Reply, moved)
    } catch (error) {
      const code = error instanceof WeirError ? error.code : undefined
      parentPort!.postMessage({ id, code, message: (error as Error).message } satisfies Reply)
    }
  })
}

/** A thread for work that would hold others. It is started with the first question, and ends after a while without one. */
export class AskedThread {
  private readonly module: string
  private readonly from: string
  private readonly idleMs: number
  private readonly waiting = new Map<number, Waiting>()
  private worker: Worker | undefined
  private idle: NodeJS.Timeout | undefined
  private last = 0

  /**
   * @param module entry of the thread, which calls `answerQuestions`, relative to the caller, without extension
   * @param from the caller's `import.meta.url`
   */
  constructor(module: string, from: string, idleMs = 60_000) {
    this.module = module
    this.from = from
    this.idleMs = idleMs
  }

  /**
   * @param moved buffers of the question, which must not be used afterwards
   * @throws what the thread throws: a `WeirError`, or an error with its message
   */
  ask(question: unknown, moved: readonly TransferListItem[] = []): Promise<unknown> {
    clearTimeout(this.idle)
    this.worker ??= this.start()
    const { worker } = this
    const id = ++this.last
    return new Promise((resolve, reject) => {
      // throws for what cannot be copied, which nothing then waits for
      worker.postMessage({ id, question }, moved)
      this.waiting.set(id, { resolve, reject })
    })
  }

  /** Ends the thread; what it was asked and has not answered is rejected. */
  async close(): Promise<void> {
    clearTimeout(this.idle)
    const { worker } = this
    this.fail(new Error(`the thread ${this.module} was closed`))
    await worker?.terminate()
  }

  private start(): Worker {
    const worker = startWorker(this.module, this.from)
    worker.unref()
    worker.on('message', (reply: Reply) => this.settle(reply))
    const ended = (error: Error): void => {
      if (this.worker === worker) this.fail(error)
    }
    worker.on('error', ended)
    worker.on('exit', (code) => ended(new Error(`the thread ${this.module} ended with ${code}`)))
    return worker
  }

  private fail(error: Error): void {
    this.worker = undefined
    for (const { reject } of this.waiting.values()) reject(error)
    this.waiting.clear()
  }

  private settle(reply: Reply): void {
    const waiting = this.waiting.get(reply.id)
    this.waiting.delete(reply.id)
    if (this.waiting.size === 0) {
      this.idle = setTimeout(() => void this.close(), this.idleMs)
      this.idle.unref()
    }
    if ('value' in reply) {
      waiting?.resolve(reply.value)
    } else {
      const { code, message } = reply
      waiting?.reject(code ? new WeirError(code, {}, { message }) : new Error(message))
    }
  }
}
