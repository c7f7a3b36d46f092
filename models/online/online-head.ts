import type { KeptBandit } from './bandit-file.ts'
import { BudgetPacer } from './budget-pacer.ts'
import { LinearBandit, thompsonProbability } from './linear-bandit.ts'

/** Actions of the bandit, as in off-policy evaluation. */
export const WEAK = 0
export const STRONG = 1

export interface OnlineHeadOptions {
  readonly policy: 'thompson' | 'ucb'
  /** numbers a prompt: a constant, the base win rate, the sketched embedding */
  readonly dimension: number
  /** pseudo-rows behind the base router's own predictions */
  readonly priorRows: number
  readonly forgetting: number
  readonly maxStep: number
  /** standard deviations of optimism (ucb) */
  readonly width: number
  /** US dollars a request; no budget where absent */
  readonly perRequest: number | undefined
}

/** What the base router says of one prompt. */
export interface BasePrediction {
  readonly winRate: number
  /** mean of both models' predicted outcomes, where the router has them */
  readonly level: number | undefined
}

/** What the pair's models would cost for one prompt, US dollars. */
export interface PairCost {
  readonly weak: number
  readonly strong: number
}

/** Strong where `winRate` reaches `threshold`; turned into the other choice with probability `turn`. */
export interface Advice {
  /** the base router's, corrected */
  readonly winRate: number
  /** the asked one, with the price of a dollar and optimism in it; 2 where the budget is spent */
  readonly threshold: number
  readonly turn: number
  /** the budget is spent: strong is not to be had, by exploration neither */
  readonly barred: boolean
}

/** A threshold that no win rate reaches. */
const NEVER = 2

/** The online part of one router: corrections learnt from feedback, and a budget that is kept to. */
export class OnlineHead {
  private readonly options: OnlineHeadOptions
  private readonly bandit: LinearBandit
  private readonly pacer: BudgetPacer | undefined
  /** mean outcome left over by a router that predicts differences alone */
  private level = { mean: 0.5, count: 0 }

  constructor(options: OnlineHeadOptions) {
    this.options = options
    const { dimension, priorRows: ridge, forgetting, maxStep, perRequest } = options
    this.bandit = new LinearBandit({ actions: 2, dimension, ridge, forgetting, maxStep })
    this.pacer = perRequest === undefined ? undefined : new BudgetPacer({ perRequest })
  }

  /** Once a request, before `advise`. */
  begin(): void {
    this.pacer?.begin()
  }

  /** @param x the prompt's numbers; undefined where they are not to be had: nothing is corrected then */
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
      // outcomes less what both share: the base gain is the strong model's
      const own = { mean: gain + strong.mean, deviation: strong.deviation }
      const margin = 2 * priced - 1
      if (this.options.policy === 'thompson') {
        const p = thompsonProbability(own, weak, margin)
        correction.turn = Math.min(p, 1 - p)
      } else {
        // optimism: the same as comparing upper bounds (LinUCB), put into the threshold
        correction.bonus = this.options.width * (strong.deviation - weak.deviation)
      }
    }
    const winRate = Math.min(1, Math.max(0, (1 + gain + correction.mean) / 2))
    if (barred) return { winRate, threshold: NEVER, turn: 0, barred }
    return { winRate, threshold: priced - correction.bonus / 2, turn: correction.turn, barred }
  }

  /** One model's outcome. @param action WEAK or STRONG */
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

  /** What a request is taken to cost, once it is decided. */
  spend(dollars: number): void {
    this.pacer?.spend(dollars)
  }

  /** What it cost more than it was taken to. */
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

  /** @throws RangeError where the state is of another shape */
  restore(state: KeptBandit): void {
    this.bandit.restore(state)
    this.level = { ...(state.level ?? { mean: 0.5, count: 0 }) }
    if (state.pacer) this.pacer?.resume(state.pacer)
  }
}
