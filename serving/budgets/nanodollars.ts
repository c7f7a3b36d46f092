/**
 * Money is counted in whole billionths of a US dollar: sums of whole numbers are exact, up to nine million
 * dollars. A cost is rounded up, so that what is counted is never less than what is owed.
 */
export type Nanodollars = number

const PER_DOLLAR = 1e9
/** Products of floating-point prices miss whole numbers by less than this. */
const NOISE = 1e-4

export const nanosOf = (usd: number): Nanodollars =>
  Math.max(0, Math.ceil(usd * PER_DOLLAR - NOISE))

/** Of a limit: rounded down. */
export const limitNanos = (usd: number): Nanodollars => Math.floor(usd * PER_DOLLAR + NOISE)

export const dollarsOf = (nanos: Nanodollars): number => nanos / PER_DOLLAR

/** Dollars without the noise of floating-point sums. */
export const toBillionths = (usd: number): number => Math.round(usd * PER_DOLLAR) / PER_DOLLAR
