const LANGUAGE = 'en-US'
const counts = new Intl.NumberFormat(LANGUAGE)
const short = new Intl.NumberFormat(LANGUAGE, { notation: 'compact', maximumFractionDigits: 1 })

/** What stands for a value that is not known. */
export const UNKNOWN = '–'

export const count = (value: number): string => counts.format(value)
export const compact = (value: number): string =>
  value < 10_000 ? count(value) : short.format(value)

/** Share of one, as a percentage. */
export function percent(share: number | null | undefined, digits = 1): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return UNKNOWN
  return `${(100 * share).toFixed(digits)}%`
}

/** A win rate or threshold. */
export const rate = (value: number | null | undefined): string =>
  value === null || value === undefined ? UNKNOWN : value.toFixed(3)

/** US dollars, with as many digits as the size calls for. */
export function dollars(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN
  const size = Math.abs(value)
  const sign = value < 0 ? '−' : ''
  if (size === 0) return '$0'
  if (size >= 10_000) return `${sign}$${short.format(size)}`
  if (size >= 1) return `${sign}$${size.toFixed(2)}`
  const digits = Math.min(8, 2 + Math.ceil(-Math.log10(size)))
  return `${sign}$${size.toFixed(digits)}`
}

export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN
  if (value < 1) return `${Math.round(value * 1000)} µs`
  if (value < 1000) return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
  return `${(value / 1000).toFixed(value < 10_000 ? 1 : 0)} s`
}

const clock = new Intl.DateTimeFormat(LANGUAGE, { timeStyle: 'medium', hourCycle: 'h23' })
const full = new Intl.DateTimeFormat(LANGUAGE, {
  dateStyle: 'medium',
  timeStyle: 'medium',
  hourCycle: 'h23',
})
export const timeOf = (time: number): string => clock.format(time)
export const dateOf = (time: number): string => full.format(time)

/** `3 min`, `2 h`, `5 days`. */
export function duration(ms: number): string {
  const minutes = ms / 60_000
  if (minutes < 1) return `${Math.max(0, Math.round(ms / 1000))} s`
  if (minutes < 60) return `${Math.round(minutes)} min`
  if (minutes < 48 * 60) return `${Math.round(minutes / 60)} h`
  return `${Math.round(minutes / 1440)} days`
}

/** `[0.61, 0.69]`: the ends of an interval; nothing where it is not defined. */
export const interval = (
  { low, high }: { readonly low: number | null; readonly high: number | null },
  shown: (value: number) => string,
): string => (low === null || high === null ? '' : `[${shown(low)}, ${shown(high)}]`)
