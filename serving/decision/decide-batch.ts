import type { Decision, RouteRequest } from '../../models/decision.ts'
import { WeirError } from '../../models/errors.ts'
import type { LiveRouter } from '../fleet/live-router.ts'
import type { Scored } from './scoring.ts'

/** How the requests of a batch are answered. */
interface BatchSteps<T> {
  /** holds what it may need until it is let go; throws what is wrong with the request */
  prepare(request: RouteRequest): T
  /** prompts of one version, encoded together, in their order */
  score(live: LiveRouter, group: readonly T[]): Promise<readonly Scored[]>
  finish(prepared: T, scored: Scored): Promise<Decision>
  letGo(prepared: T): void
}

/** Each request's decision, or what is wrong with it, in their order. */
export async function decideBatch<T extends { readonly live: LiveRouter }>(
  requests: readonly (RouteRequest | WeirError)[],
  { prepare, score, finish, letGo }: BatchSteps<T>,
): Promise<(Decision | WeirError)[]> {
  const prepared = requests.map((request) =>
    request instanceof WeirError ? request : attempt(() => prepare(request)),
  )
  const groups = new Map<LiveRouter, T[]>()
  for (const item of prepared) {
    if (item instanceof WeirError) continue
    const group = groups.get(item.live)
    if (group) group.push(item)
    else groups.set(item.live, [item])
  }
  const decisions = new Map<T, Decision | WeirError>()
  try {
    for (const [live, group] of groups) {
      const scored = await score(live, group)
      for (const [i, item] of group.entries()) {
        decisions.set(item, await finish(item, scored[i]!).catch(knownError))
      }
    }
  } finally {
    for (const item of prepared) {
      if (!(item instanceof WeirError)) letGo(item)
    }
  }
  return prepared.map((item) => (item instanceof WeirError ? item : decisions.get(item)!))
}

function attempt<T>(work: () => T): T | WeirError {
  try {
    return work()
  } catch (error) {
    return knownError(error)
  }
}

/** An error that a client may be told of; anything else is a bug and goes on. */
export function knownError(error: unknown): WeirError {
  if (error instanceof WeirError) return error
  throw error
}
