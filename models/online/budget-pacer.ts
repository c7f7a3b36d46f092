export interface PacerOptions {
  /** average US dollars per request */
  readonly perRequest: number
  /** how much may be spent ahead of time, as a multiple of `perRequest`; also the largest overshoot */
  readonly burst?: number
}

/**
 * Keeps average spending within a budget per request. The price of a dollar rises while spending runs ahead
 * of the budget and falls while it lags (dual ascent, Agrawal and Devanur 2014), so strong calls go where
 * they gain most for their cost. Spending stops when it is `burst` requests' worth ahead.
 */
export class BudgetPacer {
  private readonly budget: number
  private readonly burst: number
  private readonly rate: number
  /** score units per dollar */
  private dual: number
  /** budget earned minus dollars spent, in dollars */
  private ahead = 0

  constructor({ perRequest, burst = 25 }: PacerOptions) {
    this.budget = perRequest
    this.burst = burst * perRequest
    this.dual = 0.1 / perRequest
    this.rate = 0.02 / perRequest ** 2
  }

  /** The gain that a dollar must bring to be spent now, in score units. */
  get price(): number {
    return this.dual
  }

  /** Call once per request, before it is decided. */
  begin(): void {
    this.ahead = Math.min(this.burst, this.ahead + this.budget)
  }

  /** Whether this many dollars may be spent now. */
  affords(dollars: number): boolean {
    return this.ahead - dollars >= -this.burst
  }

  /** Whether a gain (in score units) is worth the extra dollars of the strong model and can be afforded. */
  buys(gain: number, extra: number, dollars: number): boolean {
    return this.affords(dollars) && gain >= this.dual * extra
  }

  /** Records a request's cost; an estimate may be corrected later by the difference. */
  spend(dollars: number): void {
    this.ahead -= dollars
    // damped by how far ahead it already is, so that it settles at the budget
    const pressure = dollars - this.budget - 0.02 * this.ahead
    this.dual = Math.max(0, this.dual + (this.rate * pressure) / 10)
  }

  settle(difference: number): void {
    this.ahead -= difference
  }

  get state(): { readonly dual: number; readonly ahead: number } {
    return { dual: this.dual, ahead: this.ahead }
  }

  resume(state: { readonly dual: number; readonly ahead: number }): void {
    this.dual = Math.max(0, state.dual)
    this.ahead = Math.min(this.burst, state.ahead)
  }
}
