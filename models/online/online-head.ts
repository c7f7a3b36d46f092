import type { KeptBandit } from './bandit-file.ts'
import { BudgetPacer } from './budget-pacer.ts'
import { LinearBandit, thompsonProbability } from './linear-bandit.ts'

/** Actions of the bandit, as in off-policy evaluation. */
export const WEAK = 0
export const STRONG = 1

export interface OnlineHeadOptions {
  readonly policy: 'thompson' | 'ucb'
  /** numbers per prompt: a constant, the base win rate, the sketched embedding */
  readonly dimension: number
  /** weight of the base router's predictions, in pseudo-rows */
  readonly priorRows: number
  readonly forgetting: number
  readonly maxStep: number
  /** width of the confidence bound, in standard deviations (ucb) */
  readonly width: number
  /** US dollars per request; no budget if absent */
  readonly perRequest: number | undefined
}

/** The base router's prediction for one prompt. */
export interface BasePrediction {
  readonly winRate: number
  /** mean of both models' predicted outcomes, if the router has them */
  readonly level: number | undefined
}

/** Expected cost of each model of the pair for one prompt, in US dollars. */
export interface PairCost {
  readonly weak: number
  readonly strong: number
}

/** Choose strong if `winRate` reaches `threshold`; switch to the other model with probability `turn`. */
export interface Advice {
  /** the base router's win rate, corrected */
  readonly winRate: number
  /**
   * the requested threshold, adjusted for the price of a dollar and for optimism; 2 if the budget is spent
   */
  readonly threshold: number
  readonly turn: number
  /** the budget is spent: strong cannot be chosen, not even by exploration */
  readonly barred: boolean
}

/** A threshold that no win rate reaches. */
const NEVER = 2

/** The online part of one router: corrections learnt from feedback, and a budget. */
export class OnlineHead {
  private readonly options: OnlineHeadOptions
  private readonly bandit: LinearBandit
  private readonly pacer: BudgetPacer | undefined
  /** mean outcome, used for a router that predicts only differences */
  private level = { mean: 0.5, count: 0 }

  constructor(options: OnlineHeadOptions) {
    this.options = options
    const { dimension, priorRows: ridge, forgetting, maxStep, perRequest } = options
    this.bandit = new LinearBandit({ actions: 2, dimension, ridge, forgetting, maxStep })
    this.pacer = perRequest === undefined ? undefined : new BudgetPacer({ perRequest })
  }

  /** Call once per request, before `advise`. */
  begin(): void {
    this.pacer?.begin()
  }

  /** @param x the prompt's numbers; if undefined, nothing is corrected */
  advise(
    x: Float32Array | undefined,
    base: BasePrediction,
    threshold: number,
    cost: PairCost,
  ): Advice {
    const price = (this.pacer?.price ?? 0) * Math.max(0, cost.strong - cost.weak)
    const priced = threshold + price / 2
    const barred = this.pacer ? !this.pacer.affords(cost.strong) : false
    const gain = 2 * base.winRate - 1
    const correction = { mean: 0, turn: 0, bonus: 0 }
    if (x) {
      const strong = this.bandit.predict(STRONG, x)
      const weak = this.bandit.predict(WEAK, x)
      correction.mean = strong.mean - weak.mean
      // outcomes minus what both models share: the base gain then belongs to the strong model
      const own = { mean: gain + strong.mean, deviation: strong.deviation }
      const margin = 2 * priced - 1
      if (this.options.policy === 'thompson') {
        const p = thompsonProbability(own, weak, margin)
        correction.turn = Math.min(p, 1 - p)
      } else {
        // optimism: equivalent to comparing upper bounds (LinUCB), expressed in the threshold
        correction.bonus = this.options.width * (strong.deviation - weak.deviation)
      }
    }
    const winRate = Math.min(1, Math.max(0, (1 + gain + correction.mean) / 2))
    if (barred) return { winRate, threshold: NEVER, turn: 0, barred }
    return { winRate, threshold: priced - correction.bonus / 2, turn: correction.turn, barred }
  }

  /** Learns from one model's outcome. @param action WEAK or STRONG */
  learn(action: number, x: Float32Array, base: BasePrediction, score: number): void {
    const half = (2 * base.winRate - 1) / 2
    const left = score - (action === STRONG ? half : -half)
    if (base.level === undefined) {
      this.level.count++
      const rate = Math.max(1 / this.level.count, 1 - this.options.forgetting)
      this.level.mean += rate * (left - this.level.mean)
    }
    this.bandit.observe(action, x, left - (base.level ?? this.level.mean))
  }

  /** Records the estimated cost of a request, once it is decided. */
  spend(dollars: number): void {
    this.pacer?.spend(dollars)
  }

  /** Adds the actual cost minus the estimate. */
  settle(difference: number): void {
    this.pacer?.settle(difference)
  }

  get state(): KeptBandit {
    return {
      ...this.bandit.state,
      level: { ...this.level },
      ...(this.pacer ? { pacer: this.pacer.state } : {}),
    }
  }

  /** @throws RangeError if the state has another shape */
  restore(state: KeptBandit): void {
    this.bandit.restore(state)
    this.level = { ...(state.level ?? { mean: 0.5, count: 0 }) }
    if (state.pacer) this.pacer?.resume(state.pacer)
  }
}
