import type { BudgetSettings } from './settings.ts'

export type Per = BudgetSettings['per']

/** The day of UTC: `2026-11-21`. @param time milliseconds since 1970 */
export const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10)

/** Names the period of UTC that a time is in; later ones sort later. */
export function periodOf(per: Per, time: number): string {
  if (per === 'total') return 'total'
  const day = dayOf(time)
  return per === 'day' ? day : day.slice(0, 7)
}

/** When the period that a time is in ends, in milliseconds since 1970; undefined where it never does. */
export function periodEnd(per: Per, time: number): number | undefined {
  if (per === 'total') return undefined
  const date = new Date(time)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
  return per === 'day' ? Date.UTC(year, month, date.getUTCDate() + 1) : Date.UTC(year, month + 1)
}
