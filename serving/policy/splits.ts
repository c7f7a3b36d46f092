import { placeOf } from '../../core/hash.ts'
import type { GatewayRequest, Plan } from '../gateway/contracts.ts'
import { ANYONE } from '../router/keys.ts'

/** What splits are sticky by: the session, else the key, else nothing but the request itself. */
export function splitUnit({ id, caller, hints }: GatewayRequest): string {
  if (hints.session_id !== undefined) return `session\n${caller.name}\n${hints.session_id}`
  return caller.name === ANYONE.name ? `request\n${id}` : `key\n${caller.name}`
}

/** One percentage split that a request came past, and how it fell. */
export interface Split {
  readonly share: number
  readonly taken: boolean
}

/** Decides percentage splits, and remembers which ones there were. */
export class Splits {
  readonly drawn: Split[] = []
  readonly #unit: string
  readonly #forced: readonly boolean[] | undefined

  /** @param forced how the first ones fall, and all after them do not; by the unit's hash where absent */
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

  /** Of all splits falling as they did. */
  get probability(): number {
    return this.drawn.reduce((p, { share, taken }) => p * (taken ? share : 1 - share), 1)
  }
}

/** More splits than this on one path are not enumerated: each doubles the paths. */
const MOST_SPLITS = 6

/**
 * Every way that splits can fall, each once: `run` is asked with the first falls forced, and the others
 * are flipped one by one from what it came past.
 *
 * @param run gives false where its outcome cannot be known
 * @returns false where an outcome could not be known
 */
export async function everyOutcome(
  unit: string,
  run: (draws: Splits) => Promise<boolean>,
): Promise<boolean> {
  const waiting: boolean[][] = [[]]
  for (let prefix = waiting.pop(); prefix; prefix = waiting.pop()) {
    const draws = new Splits(unit, prefix)
    if (!(await run(draws)) || draws.drawn.length > MOST_SPLITS) return false
    const falls = draws.drawn.map(({ taken }) => taken)
    for (let i = prefix.length; i < falls.length; i++) waiting.push([...falls.slice(0, i), true])
  }
  return true
}

/** Probability of each model being asked first; what is refused adds to none. */
export type Propensities = Map<string, number>

/** Adds what a plan's own chance leaves to each model, weighed by the chance of the plan. */
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
