import Type from 'typebox'

/** How often a server tries the model it would not have chosen. Off unless configured. */
export const Exploration = Type.Object(
  {
    /** probability of the other model on every request */
    floor: Type.Number({ minimum: 0, maximum: 0.5 }),
    /** probability of the other model where the win rate is the threshold; the floor where absent */
    near: Type.Optional(Type.Number({ minimum: 0, maximum: 0.5 })),
    /** win-rate distance from the threshold over which `near` falls to a third of the way (default .05) */
    width: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
    /** most strong calls a thousand requests that exploration may add; no limit where absent */
    max_strong_per_1000: Type.Optional(Type.Number({ minimum: 0 })),
    /** share of requests marked `audit`: the caller is asked to let both models answer */
    audits: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  },
  { additionalProperties: false },
)
export type Exploration = Type.Static<typeof Exploration>

const DEFAULT_WIDTH = 0.05

/** Probability of the model that was not chosen: the floor, and more where the choice is least sure. */
export function flipProbability(
  exploration: Exploration,
  winRate: number,
  threshold: number,
): number {
  const { floor, near = floor, width = DEFAULT_WIDTH } = exploration
  const apart = Math.abs(winRate - threshold) / width
  return floor + Math.max(0, near - floor) * Math.exp(-apart)
}

/** Requests' worth of allowance that may be saved up. */
const SAVED = 100

/**
 * Holds what exploration adds to a stated number of strong calls a thousand requests. The less is left,
 * the smaller its probability, which stays known: the propensity is what was used, not what was asked for.
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

  /** Once a request, before `scale`. */
  accrue(): void {
    this.left = Math.min(this.most, this.left + this.gain)
  }

  /** 0 to 1: what the probability of an added strong call is multiplied by. */
  get scale(): number {
    return this.left < 1 ? 0 : this.left / this.most
  }

  spend(): void {
    this.left -= 1
  }
}
