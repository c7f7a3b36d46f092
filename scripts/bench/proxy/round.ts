import { loadServer, type ServerLoad } from '../load.ts'
import type { Contender } from './contenders.ts'

/** The results of one server under load. */
export interface Round extends ServerLoad {
  /** number of `failed` by error code, if the server reports it: `weir_refused_total` */
  readonly codes: Readonly<Record<string, number>>
}

export interface RoundOptions {
  readonly bodies: string
  readonly connections: number
  readonly seconds: number
  /** chats if absent */
  readonly path?: string
}

export const CHATS = '/v1/chat/completions'

export async function measure(server: Contender, options: RoundOptions): Promise<Round> {
  const { url, headers } = server
  const codesBefore = await refusals(url)
  const load = await loadServer(server, { path: CHATS, headers, ...options })
  const codes: Record<string, number> = {}
  for (const [code, n] of Object.entries(await refusals(url))) {
    const added = n - (codesBefore[code] ?? 0)
    if (added > 0) codes[code] = added
  }
  return { ...load, codes }
}

/** The failures in words: `161 (status 161: overloaded 161)`. */
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
