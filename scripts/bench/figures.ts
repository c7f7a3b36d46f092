import { readFileSync } from 'node:fs'
import { table } from '../terminal/terminal.ts'

/** A benchmark's figures by name, with four digits each, as the lines of a table. */
export function figureTable(figures: Readonly<Record<string, number | null>>): string {
  const shown = (value: number | null): string =>
    value?.toLocaleString('en-US', { maximumSignificantDigits: 4 }) ?? 'undefined'
  return table([
    ['figure', ''],
    ...Object.entries(figures).map(([name, value]) => [name, shown(value)]),
  ])
}

/** The median, or the upper of the two middle values. */
export const middle = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1]!

/** User and system time of this process with its threads, in seconds. */
export function ownCpuSeconds(since?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since)
  return (user + system) / 1e6
}

/** User and system time of a process with its threads, in seconds, from /proc (100 ticks a second). */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Resident memory of a process, from /proc. */
export function residentMegabytes(pid: number | 'self'): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
}
