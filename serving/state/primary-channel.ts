import { within as withinLimit } from '../../core/abort.ts'

/**
 * Requests from workers to their primary process; `worker-group.ts` has those from the primary to workers.
 * Questions of one event-loop turn are sent and answered in one message each.
 */
export interface PrimaryChannel {
  /** @throws if the primary does */
  ask(topic: string, question: unknown): Promise<unknown>
  /** Sends a message in order with the questions; it gets no answer. */
  tell(topic: string, question: unknown): void
}

/** One end of a channel between processes; `process` in a worker. */
export interface Port {
  send(message: unknown): void
  onMessage(listener: (message: unknown) => void): void
}

interface Item {
  readonly topic: string
  readonly question: unknown
  /** absent if no answer is expected */
  readonly id?: number
}
interface Upward {
  readonly weir: 'up'
  readonly items: readonly Item[]
}
interface Reply {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}
interface Downward {
  readonly weir: 'down'
  readonly replies: readonly Reply[]
}

export function openPrimaryChannel(port: Port): PrimaryChannel {
  const waiting = new Map<number, (reply: Reply) => void>()
  let items: Item[] = []
  let asked = 0
  const put = (item: Item): void => {
    items.push(item)
    if (items.length > 1) return
    setImmediate(() => {
      const message: Upward = { weir: 'up', items }
      items = []
      port.send(message)
    })
  }
  port.onMessage((message) => {
    const down = message as Downward
    if (down?.weir !== 'down') return
    for (const reply of down.replies) {
      waiting.get(reply.id)?.(reply)
      waiting.delete(reply.id)
    }
  })
  return {
    ask: (topic, question) =>
      new Promise((resolve, reject) => {
        const id = ++asked
        waiting.set(id, ({ value, error }) => {
          if (error === undefined) resolve(value)
          else reject(new Error(`the primary process failed: ${error}`))
        })
        put({ topic, question, id })
      }),
    tell: (topic, question) => put({ topic, question }),
  }
}

/** The answer. @throws if it takes longer than the limit */
export const within = <T>(answer: Promise<T>, milliseconds: number): Promise<T> =>
  withinLimit(
    answer,
    milliseconds,
    () => new Error(`the primary process was silent for ${milliseconds} ms`),
  )

/** Answers the questions of one topic. @param worker the number of the worker that asks */
export type TopicHandler = (question: unknown, worker: number) => unknown

/** The primary's side of one worker's channel. `port` may be closed at any time. */
export function answerTopics(
  port: Port,
  worker: number,
  handlers: ReadonlyMap<string, TopicHandler>,
  onBug: (error: unknown) => void,
): void {
  port.onMessage((message) => {
    const up = message as Upward
    if (up?.weir !== 'up') return
    const replies: Reply[] = []
    for (const { topic, question, id } of up.items) {
      try {
        const value = handlers.get(topic)?.(question, worker)
        if (id !== undefined) replies.push({ id, value })
      } catch (error) {
        onBug(error)
        if (id !== undefined) replies.push({ id, error: String(error) })
      }
    }
    if (replies.length > 0) port.send({ weir: 'down', replies } satisfies Downward)
  })
}
