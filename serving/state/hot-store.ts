/**
 * What several servers share for a while, by key: the models of sessions, cached decisions. It may forget, and it
 * is never waited for longer than a fraction of a second: what is read from it is remembered locally too.
 */
export interface HotStore {
  /** Undefined if nothing is there, or the store does not answer. */
  get(key: string): Promise<string | undefined>
  /** Does not wait. */
  set(key: string, value: string, milliseconds: number): void
}
