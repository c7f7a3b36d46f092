/** Closes opened resources, newest first. Node 20 has no AsyncDisposableStack. */
export class CloseStack {
  readonly #closers: (() => unknown)[] = []

  add(close: () => unknown): void {
    this.#closers.push(close)
  }

  /** Adds the resource's `close` method and returns the resource. */
  use<T extends { close(): unknown }>(resource: T): T {
    this.add(() => resource.close())
    return resource
  }

  /** Closes everything, one after the other, even if some fail. @throws the first failure */
  async close(): Promise<void> {
    const failures: unknown[] = []
    for (let close = this.#closers.pop(); close; close = this.#closers.pop()) {
      try {
        await close()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}

/**
 * Opens something made of parts; if a later part fails to open, the earlier ones are closed.
 *
 * @param open adds each part it has opened to the stack
 * @throws any error of `open`, after the opened parts were closed
 */
export async function openOrClose<T>(open: (parts: CloseStack) => Promise<T>): Promise<T> {
  const parts = new CloseStack()
  try {
    return await open(parts)
  } catch (error) {
    // report why opening failed, not a failure to close
    await parts.close().catch(() => {})
    throw error
  }
}
