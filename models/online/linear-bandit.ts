export interface BanditOptions {
  readonly actions: number
  readonly dimension: number
  /** weight of the prior "no correction", in pseudo-rows along every direction */
  readonly ridge?: number
  /** factor applied to an observation's weight per update; .999 remembers about a thousand */
  readonly forgetting?: number
  /** maximum change of an action's coefficients per refresh (Euclidean norm) */
  readonly maxStep?: number
  /** observations between refreshes */
  readonly every?: number
}

/** A prediction with its posterior standard deviation, in the outcome's units. */
interface BanditPrediction {
  readonly mean: number
  readonly deviation: number
}

/** Plain numbers that can be stored and restored. */
export interface BanditState {
  readonly actions: number
  readonly dimension: number
  readonly observed: number
  /** actions x d x d */
  readonly gram: Float64Array
  /** actions x d */
  readonly moment: Float64Array
  /** actions x d: used for predictions */
  readonly coefficients: Float64Array
}

/** Standard deviation assumed for one 0/1 outcome: the largest possible. */
const NOISE = 0.5

/**
 * A linear correction to each action's predicted outcome, learnt from feedback: ridge regression on the base
 * router's residuals (the model of LinUCB, Li et al. 2010, and of linear Thompson sampling, Agrawal and Goyal
 * 2013), with old observations decaying. With zero coefficients it is the base router itself, and forgetting
 * leads back to it.
 */
export class LinearBandit {
  private readonly options: Required<BanditOptions>
  private gram: Float64Array
  private moment: Float64Array
  private coefficients: Float64Array
  /** the lower triangle of gram + ridge I, per action */
  private readonly factor: Float64Array
  private readonly scratch: Float64Array
  private observed = 0

  constructor(options: BanditOptions) {
    this.options = { ridge: 20, forgetting: 0.9995, maxStep: 0.5, every: 32, ...options }
    const { actions, dimension: d } = this.options
    this.gram = new Float64Array(actions * d * d)
    this.moment = new Float64Array(actions * d)
    this.coefficients = new Float64Array(actions * d)
    this.factor = new Float64Array(actions * d * d)
    this.scratch = new Float64Array(d)
    this.factorise()
  }

  /** The correction to an action's outcome. @param x d numbers */
  predict(action: number, x: ArrayLike<number>): BanditPrediction {
    const { dimension: d } = this.options
    let mean = 0
    for (let j = 0; j < d; j++) mean += this.coefficients[action * d + j]! * x[j]!
    // x' (gram + ridge I)^-1 x = |L^-1 x|^2
    const y = this.scratch
    const base = action * d * d
    let variance = 0
    for (let j = 0; j < d; j++) {
      let sum = x[j]!
      for (let k = 0; k < j; k++) sum -= this.factor[base + j * d + k]! * y[k]!
      y[j] = sum / this.factor[base + j * d + j]!
      variance += y[j]! ** 2
    }
    return { mean, deviation: NOISE * Math.sqrt(variance) }
  }

  /** @param left the outcome minus the base router's prediction for this action */
  observe(action: number, x: ArrayLike<number>, left: number): void {
    const { dimension: d, forgetting, every } = this.options
    // all actions decay alike, so an action that is not tried becomes uncertain again
    for (let at = 0; at < this.gram.length; at++) this.gram[at]! *= forgetting
    for (let at = 0; at < this.moment.length; at++) this.moment[at]! *= forgetting
    const base = action * d * d
    for (let j = 0; j < d; j++) {
      this.moment[action * d + j]! += x[j]! * left
      for (let k = 0; k < d; k++) this.gram[base + j * d + k]! += x[j]! * x[k]!
    }
    this.observed++
    if (this.observed % every === 0) this.refresh()
  }

  /** Moves the coefficients towards the regression's, by at most `maxStep` per action. */
  refresh(): void {
    const { actions, dimension: d, maxStep } = this.options
    this.factorise()
    for (let a = 0; a < actions; a++) {
      const target = this.solve(a)
      let squares = 0
      for (let j = 0; j < d; j++) squares += (target[j]! - this.coefficients[a * d + j]!) ** 2
      const part = Math.min(1, maxStep / Math.max(1e-12, Math.sqrt(squares)))
      for (let j = 0; j < d; j++) {
        const at = a * d + j
        this.coefficients[at]! += part * (target[j]! - this.coefficients[at]!)
      }
    }
  }

  get state(): BanditState {
    const { actions, dimension } = this.options
    return {
      actions,
      dimension,
      observed: this.observed,
      gram: this.gram.slice(),
      moment: this.moment.slice(),
      coefficients: this.coefficients.slice(),
    }
  }

  /** Restores a state of the same shape, for example one from before an update. */
  restore(state: BanditState): void {
    const { actions, dimension } = this.options
    if (state.actions !== actions || state.dimension !== dimension) {
      throw new RangeError(`a state of ${state.actions} x ${state.dimension} does not fit`)
    }
    this.gram = state.gram.slice()
    this.moment = state.moment.slice()
    this.coefficients = state.coefficients.slice()
    this.observed = state.observed
    this.factorise()
  }

  /** Cholesky of gram + ridge I. */
  private factorise(): void {
    const { actions, dimension: d, ridge } = this.options
    for (let a = 0; a < actions; a++) {
      const base = a * d * d
      for (let j = 0; j < d; j++) {
        for (let k = 0; k <= j; k++) {
          let sum = this.gram[base + j * d + k]! + (j === k ? ridge : 0)
          for (let m = 0; m < k; m++) {
            sum -= this.factor[base + j * d + m]! * this.factor[base + k * d + m]!
          }
          this.factor[base + j * d + k] =
            j === k ? Math.sqrt(Math.max(sum, 1e-12)) : sum / this.factor[base + k * d + k]!
        }
      }
    }
  }

  private solve(action: number): Float64Array {
    const { dimension: d } = this.options
    const base = action * d * d
    const out = this.moment.slice(action * d, (action + 1) * d)
    for (let j = 0; j < d; j++) {
      for (let k = 0; k < j; k++) out[j]! -= this.factor[base + j * d + k]! * out[k]!
      out[j]! /= this.factor[base + j * d + j]!
    }
    for (let j = d - 1; j >= 0; j--) {
      for (let k = j + 1; k < d; k++) out[j]! -= this.factor[base + k * d + j]! * out[k]!
      out[j]! /= this.factor[base + j * d + j]!
    }
    return out
  }
}

/** Minimum probability of either model, so that logs of Thompson sampling can be used off-policy. */
const LEAST = 0.01

/**
 * Probability that a draw from both posteriors prefers the strong model by more than `price`. The posteriors
 * are independent and normal, so Thompson sampling's propensity is known without sampling.
 */
export function thompsonProbability(
  strong: BanditPrediction,
  weak: BanditPrediction,
  price: number,
): number {
  const deviation = Math.hypot(strong.deviation, weak.deviation)
  const margin = strong.mean - weak.mean - price
  const p = deviation > 0 ? normalBelow(margin / deviation) : margin >= 0 ? 1 : 0
  return Math.min(1 - LEAST, Math.max(LEAST, p))
}

/** Upper confidence bounds: strong if its upper bound minus the price reaches the weak model's. */
export function prefersStrongUcb(
  strong: BanditPrediction,
  weak: BanditPrediction,
  price: number,
  width = 1,
): boolean {
  const bound = ({ mean, deviation }: BanditPrediction): number => mean + width * deviation
  return bound(strong) - price >= bound(weak)
}

/** P(Z <= x), with an error below 7.5e-8 (Abramowitz and Stegun 26.2.17). */
function normalBelow(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x))
  const series =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  const tail = (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * series
  return x >= 0 ? 1 - tail : tail
}
