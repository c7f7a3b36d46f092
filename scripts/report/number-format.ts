import type { PartialInterval } from '../../core/stats/intervals.ts'

const MISSING = '-'

/** .623: three decimals without the leading zero, the usual format of scores */
export const score = (value: number | null | undefined): string =>
  value === null || value === undefined || !Number.isFinite(value)
    ? MISSING
    : value
        .toFixed(3)
        .replace(/^(-?)0\./, '$1.')
        .replace(/^-(\.0+)$/, '$1')

/** .566 to .604 */
export const range = ({ low, high }: PartialInterval): string =>
  low === null && high === null ? MISSING : `${score(low)} to ${score(high)}`

/** 33.4% */
export const percent = (value: number | null | undefined): string =>
  value === null || value === undefined || !Number.isFinite(value)
    ? MISSING
    : `${(value * 100).toFixed(1).replace(/^-(0\.0)$/, '$1')}%`

/** $12.35, $0.0123: at least three significant digits */
export function dollars(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING
  if (value === 0) return '$0'
  if (Math.abs(value) < 0.0001) return 'under $0.0001'
  const digits = Math.max(2, 2 - Math.floor(Math.log10(Math.abs(value))))
  return `${value < 0 ? '-' : ''}$${Math.abs(value).toFixed(digits)}`
}

/** 1.2346: score units, with the digits in which bounds on them are stated */
export const units = (value: number): string => value.toFixed(4)

/** $123, $1.23, $0.00123: three significant digits */
export const roundDollars = (value: number): string =>
  `$${value >= 100 ? value.toFixed(0) : value.toPrecision(3)}`

/** 12,345 */
export const count = (value: number): string => value.toLocaleString('en-US')

/** .034, < .001 */
export const probability = (p: number | null): string =>
  p !== null && p < 0.001 ? '< .001' : score(p)

/** 0.42 ms */
export const milliseconds = (value: number): string =>
  `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`
