/**
 * For long work in the main thread: others get the event loop whenever so much of it was done.
 *
 * @param most work between two turns of others, in any unit
 * @returns call it with what was done; await what it returns, if anything
 */
export function takingTurns(most: number): (done: number) => Promise<void> | undefined {
  let since = 0
  return (done) => {
    since += done
    if (since < most) return undefined
    since = 0
    return new Promise((resume) => setImmediate(resume))
  }
}
