import { readFileSync } from 'node:fs'
import { applyLoad, type LoadResult } from '../load.ts'
import type { Server } from './contenders.ts'

/** One server under load for a while. */
export interface Round extends LoadResult {
  readonly perSecond: number
  /** processor time of a request, in the server */
  readonly cpuMicroseconds: number
  /** of `failed`, by error code, where the server tells: `weir_refused_total` */
  readonly codes: Readonly<Record<string, number>>
}

export interface RoundOptions {
  readonly bodies: string
  readonly connections: number
  readonly seconds: number
}

const PATH = '/v1/chat/completions'

export async function measure(server: Server, options: RoundOptions): Promise<Round> {
  const { url, pid, headers } = server
  const codesBefore = await refusals(url)
  const before = cpuSeconds(pid)
  const load = await applyLoad({ url, path: PATH, headers, ...options })
  const cpu = cpuSeconds(pid) - before
  const codes: Record<string, number> = {}
  for (const [code, n] of Object.entries(await refusals(url))) {
    const added = n - (codesBefore[code] ?? 0)
    if (added > 0) codes[code] = added
  }
  return {
    ...load,
    codes,
    perSecond: load.requests / load.seconds,
    cpuMicroseconds: (cpu / load.requests) * 1e6,
  }
}

/** What failed, in words: `161 (status 161: overloaded 161)`. */
export function failures(rounds: readonly Round[]): string {
  const failed = rounds.reduce((sum, round) => sum + round.failed, 0)
  if (failed === 0) return '0'
  const total = (of: (round: Round) => Readonly<Record<string, number>>): string => {
    const sums: Record<string, number> = {}
    for (const round of rounds) {
      for (const [name, n] of Object.entries(of(round))) sums[name] = (sums[name] ?? 0) + n
    }
    return Object.entries(sums)
      .filter(([, n]) => n > 0)
      .map(([name, n]) => `${name} ${n}`)
      .join(', ')
  }
  const codes = total((round) => round.codes)
  return `${failed} (${total((round) => round.errors)}${codes ? `: ${codes}` : ''})`
}

async function refusals(url: string): Promise<Record<string, number>> {
  const answer = await fetch(`${url}/metrics`).catch(() => undefined)
  const text = answer?.ok ? await answer.text() : ''
  const found = text.matchAll(/^weir_refused_total\{code="(\w+)"\} (\d+)/gm)
  return Object.fromEntries([...found].map(([, code, n]) => [code, Number(n)]))
}

/** User and system time of a process and its threads, from /proc (100 ticks a second). */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
