import { placeOf } from '../../core/hash.ts'
import type { GatewayRequest, Plan } from '../gateway/contracts.ts'
import { ANYONE } from '../router/keys.ts'

/** The unit of assignment that splits go by: the session, else the key, else the request. */
export function splitUnit({ id, caller, hints }: GatewayRequest): string {
  if (hints.session_id !== undefined) return `session\n${caller.name}\n${hints.session_id}`
  return caller.name === ANYONE.name ? `request\n${id}` : `key\n${caller.name}`
}

/** One percentage split that a request reached, and its outcome. */
export interface Split {
  readonly share: number
  readonly taken: boolean
}

/** Decides percentage splits by a unit, and records them. */
export class Splits {
  readonly drawn: Split[] = []
  readonly #unit: string
  readonly #forced: readonly boolean[] | undefined

  /** @param forced outcomes of the first splits, false for all later ones; by the unit's hash if absent */
  constructor(unit: string, forced?: readonly boolean[]) {
    this.#unit = unit
    this.#forced = forced
  }

  take(name: string, share: number): boolean {
    const taken = this.#forced
      ? (this.#forced[this.drawn.length] ?? false)
      : placeOf(name, this.#unit) < share
    this.drawn.push({ share, taken })
    return taken
  }

  /** The joint probability of the outcomes so far. */
  get probability(): number {
    return this.drawn.reduce((p, { share, taken }) => p * (taken ? share : 1 - share), 1)
  }
}

/** Paths with more splits than this are not enumerated: each split doubles their number. */
const MOST_SPLITS = 6

/**
 * Enumerates every combination of outcomes, each once: `run` is called with the first outcomes forced, and
 * the splits that it then reaches are flipped one by one.
 *
 * @param run returns false if its outcome cannot be known
 * @returns false if an outcome could not be known
 */
export async function everyOutcome(
  unit: string,
  run: (draws: Splits) => Promise<boolean>,
): Promise<boolean> {
  const waiting: boolean[][] = [[]]
  for (let prefix = waiting.pop(); prefix; prefix = waiting.pop()) {
    const draws = new Splits(unit, prefix)
    if (!(await run(draws)) || draws.drawn.length > MOST_SPLITS) return false
    const outcomes = draws.drawn.map(({ taken }) => taken)
    for (let i = prefix.length; i < outcomes.length; i++)
      waiting.push([...outcomes.slice(0, i), true])
  }
  return true
}

/** The probability of each model to be asked first; a refusal adds to none. */
export type Propensities = Map<string, number>

/** Adds the propensities of a plan's models, weighted by the probability of the plan. */
export function addPropensities(chances: Propensities, plan: Plan, weight: number): void {
  if (plan.kind === 'refuse') return
  const add = (model: string, p: number): void => {
    chances.set(model, (chances.get(model) ?? 0) + weight * p)
  }
  const first = plan.targets[0]!.model
  if (plan.propensity === 1 || !plan.decision) {
    add(first, plan.propensity)
    return
  }
  for (const { model, propensity } of plan.decision.candidates) add(model, propensity)
}
