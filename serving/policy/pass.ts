/** A step that decides nothing, and why. */
export interface Pass {
  readonly kind: 'pass'
  readonly reason: string
  /** the rule or route that would have decided, had hard limits left one of its models */
  readonly name?: string
}

export const pass = (reason: string, name?: string): Pass => ({
  kind: 'pass',
  reason,
  ...(name === undefined ? {} : { name }),
})
