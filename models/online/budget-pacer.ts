export interface PacerOptions {
  /** US dollars a request, on average */
  readonly perRequest: number
  /** requests' worth of budget that may be spent ahead of time; what an overshoot is at most */
  readonly burst?: number
}

/**
 * Keeps spending to a budget a request: a price on every dollar, raised while spending runs ahead of the
 * budget and lowered while it lags (dual ascent, Agrawal and Devanur 2014), so that strong calls go where
 * they gain most for their cost; and a hard stop at `burst` requests' worth ahead.
 */
export class BudgetPacer {
  private readonly budget: number
  private readonly burst: number
  private readonly rate: number
  /** score units a dollar */
  private dual: number
  /** budget earned less dollars spent, in dollars */
  private ahead = 0

  constructor({ perRequest, burst = 25 }: PacerOptions) {
    this.budget = perRequest
    this.burst = burst * perRequest
    this.dual = 0.1 / perRequest
    this.rate = 0.02 / perRequest ** 2
  }

  /** What a dollar must gain to be spent now. */
  get price(): number {
    return this.dual
  }

  /** Once a request, before it is decided. */
  begin(): void {
    this.ahead = Math.min(this.burst, this.ahead + this.budget)
  }

  /** Whether these dollars may be spent at all now. */
  affords(dollars: number): boolean {
    return this.ahead - dollars >= -this.burst
  }

  /** Whether a gain (in score units) is worth the extra dollars of the strong model, and can be paid. */
  buys(gain: number, extra: number, dollars: number): boolean {
    return this.affords(dollars) && gain >= this.dual * extra
  }

  /** What the request cost; an estimate may be settled later by the difference. */
  spend(dollars: number): void {
    this.ahead -= dollars
    // damped by how far ahead it is already, so that it settles on the budget itself
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
