import Type from 'typebox'

/** How often a server tries the model it would not have chosen. Off unless configured. */
export const Exploration = Type.Object(
  {
    /** probability of the other model, for every request */
    floor: Type.Number({ minimum: 0, maximum: 0.5 }),
    /** probability of the other model when the win rate equals the threshold; the floor if absent */
    near: Type.Optional(Type.Number({ minimum: 0, maximum: 0.5 })),
    /** win-rate distance from the threshold over which `near` falls to a third of the way (default .05) */
    width: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
    /** maximum strong calls per thousand requests that exploration may add; unlimited if absent */
    max_strong_per_1000: Type.Optional(Type.Number({ minimum: 0 })),
    /** share of requests marked `audit`: the caller is asked to let both models answer */
    audits: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  },
  { additionalProperties: false },
)
export type Exploration = Type.Static<typeof Exploration>

const DEFAULT_WIDTH = 0.05

/** Probability of the model that was not chosen: the floor, rising where the choice is least certain. */
export function flipProbability(
  exploration: Exploration,
  winRate: number,
  threshold: number,
): number {
  const { floor, near = floor, width = DEFAULT_WIDTH } = exploration
  const apart = Math.abs(winRate - threshold) / width
  return floor + Math.max(0, near - floor) * Math.exp(-apart)
}

/** Maximum allowance that may be saved up, in requests. */
const SAVED = 100

/**
 * Limits the strong calls that exploration adds to a given number per thousand requests. The exploration
 * probability shrinks as the allowance runs out. It stays known: the logged propensity is the probability
 * used, not the one configured.
 */
export class StrongAllowance {
  private readonly gain: number
  private readonly most: number
  private left: number

  constructor(perThousand: number) {
    this.gain = perThousand / 1000
    this.most = Math.max(1, this.gain * SAVED)
    this.left = this.most
  }

  /** Call once per request, before `scale`. */
  accrue(): void {
    this.left = Math.min(this.most, this.left + this.gain)
  }

  /** Factor from 0 to 1 for the probability of an added strong call. */
  get scale(): number {
    return this.left < 1 ? 0 : this.left / this.most
  }

  spend(): void {
    this.left -= 1
  }
}
