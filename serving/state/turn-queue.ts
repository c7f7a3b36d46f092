/**
 * Defers work to the end of the event loop's turn, so that requests that came in together are processed
 * together: first every socket is read, then all are decided, then all are answered. Each stage finds its
 * code and tables in the processor's caches, and a client of many connections is woken once. A request that
 * comes alone does not wait.
 */
export class TurnQueue<T> {
  private waiting: T[] = []
  private readonly work: (items: readonly T[]) => void

  /** @param work must not throw */
  constructor(work: (items: readonly T[]) => void) {
    this.work = work
  }

  add(item: T): void {
    if (this.waiting.push(item) === 1) setImmediate(this.run)
  }

  private readonly run = (): void => {
    const items = this.waiting
    this.waiting = []
    this.work(items)
  }
}
