/**
 * Amounts are whole billionths of a US dollar: sums of whole numbers are exact, up to nine million dollars. A
 * cost is rounded up, so that the counted amount is never less than the amount owed.
 */
export type Nanodollars = number

const PER_DOLLAR = 1e9
/** Products of floating-point prices differ from whole numbers by less than this. */
const NOISE = 1e-4

export const nanosOf = (usd: number): Nanodollars =>
  Math.max(0, Math.ceil(usd * PER_DOLLAR - NOISE))

/** For a limit: rounded down. */
export const limitNanos = (usd: number): Nanodollars => Math.floor(usd * PER_DOLLAR + NOISE)

export const dollarsOf = (nanos: Nanodollars): number => nanos / PER_DOLLAR

/** Dollars without the noise of floating-point sums. */
export const toBillionths = (usd: number): number => Math.round(usd * PER_DOLLAR) / PER_DOLLAR

/** The period of a budget. */
export type Per = 'day' | 'month' | 'total'

const DAY_MS = 86_400_000
/** cache of the last day: most requests fall on one day, and formatting it costs a microsecond */
let latest = { day: Number.NaN, name: '' }

/** The day in UTC: `2026-11-21`. @param time milliseconds since 1970 */
export function dayOf(time: number): string {
  const day = Math.floor(time / DAY_MS)
  if (day !== latest.day) latest = { day, name: new Date(time).toISOString().slice(0, 10) }
  return latest.name
}

/** The name of the UTC period that contains a time; later ones sort later. */
export function periodOf(per: Per, time: number): string {
  if (per === 'total') return 'total'
  const day = dayOf(time)
  return per === 'day' ? day : day.slice(0, 7)
}

/** The end of the period that contains a time, in milliseconds since 1970; undefined if it never ends. */
export function periodEnd(per: Per, time: number): number | undefined {
  if (per === 'total') return undefined
  const date = new Date(time)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
  return per === 'day' ? Date.UTC(year, month, date.getUTCDate() + 1) : Date.UTC(year, month + 1)
}
