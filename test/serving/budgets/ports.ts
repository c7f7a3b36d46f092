import {
  answerTopics,
  openPrimaryChannel,
  type PrimaryChannel,
  type TopicHandler,
} from '../../../serving/state/primary-channel.ts'

export interface FakeWorker {
  readonly line: PrimaryChannel
  /** messages in both directions are lost from now on */
  die(): void
  /** messages that went up */
  readonly sent: unknown[]
}

type Listener = (message: unknown) => void

/** A worker and its primary in one process: messages are copied and arrive a turn later, as between processes. */
export function fakeWorker(
  number: number,
  handlers: ReadonlyMap<string, TopicHandler>,
): FakeWorker {
  let alive = true
  const sent: unknown[] = []
  const up: Listener[] = []
  const down: Listener[] = []
  const carry = (message: unknown, to: readonly Listener[]): void => {
    const text = JSON.stringify(message)
    setImmediate(() => {
      if (alive) for (const listener of to) listener(JSON.parse(text))
    })
  }
  answerTopics(
    {
      send: (message) => carry(message, down),
      onMessage: (listener) => up.push(listener),
    },
    number,
    handlers,
    (error) => {
      throw error
    },
  )
  const line = openPrimaryChannel({
    send: (message) => {
      sent.push(message)
      carry(message, up)
    },
    onMessage: (listener) => down.push(listener),
  })
  return {
    line,
    sent,
    die: () => {
      alive = false
    },
  }
}
