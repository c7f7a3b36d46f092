import type { HotStore } from '../state/hot-store.ts'
import { type FailureKind, UpstreamError } from '../upstreams/failure.ts'
import type { Backend, Pause } from './backend.ts'
import type { Breaker } from './breaker.ts'

export interface CooldownOptions {
  /** what servers, or the workers of one, share for a while */
  readonly shared: HotStore
  readonly backends: readonly Backend[]
  /** by upstream */
  readonly breakers: ReadonlyMap<string, Breaker>
  /** milliseconds, never going back: the clock of pauses and breakers */
  readonly clock: () => number
  /** milliseconds since 1970 */
  readonly now: () => number
}

/** How often what others say is read, in milliseconds. */
const POLL_MS = 1000
/** Nobody's word counts for longer, whatever it says. */
const LONGEST_MS = 10 * 60_000

/** A pause, or an open breaker, as one server tells the others. */
interface Said {
  /** milliseconds since 1970, by the clock of the server that says it */
  readonly until: number
  /** how long it was when it was said: clocks may differ by seconds, and none makes it longer */
  readonly ms: number
  readonly kind?: FailureKind
  readonly reason?: string
  readonly status?: number
}

/**
 * Shares what upstreams have said: a rate limit or a refused key that one server meets is respected by all within a
 * second. An open breaker is a hint only, since it may be that server's own connection: here it opens at the first
 * failure. Without the store each server learns for itself.
 *
 * @returns ends it
 */
export function shareCooldowns(options: CooldownOptions): () => void {
  const { shared, backends, breakers, clock, now } = options
  const hears: { readonly key: string; hear(said: Said, ms: number): void }[] = []
  const say = (key: string, said: Omit<Said, 'until'>): void => {
    if (said.ms <= 0) return
    shared.set(key, JSON.stringify({ ...said, until: now() + said.ms }), said.ms)
  }
  const share = (key: string, pauses: readonly Pause[], upstream: string): void => {
    for (const pause of pauses) {
      pause.onSet = (until, { kind, reason, upstreamStatus: status }) =>
        say(key, { ms: until - clock(), kind, reason, ...(status !== undefined && { status }) })
    }
    hears.push({
      key,
      hear({ kind = 'rate_limited', reason = '', status }, ms) {
        const failure = new UpstreamError(kind, { upstream, reason, status, retryAfterMs: ms })
        for (const pause of pauses) pause.hear(clock() + ms, failure)
      },
    })
  }
  const byModel = new Map<string, Backend[]>()
  const byKey = new Map<string, Set<Pause>>()
  for (const backend of backends) {
    const { name } = backend.upstream
    const model = `cooldown:model:${name}:${backend.model}`
    byModel.set(model, [...(byModel.get(model) ?? []), backend])
    byKey.set(name, (byKey.get(name) ?? new Set()).add(backend.keyPause))
  }
  for (const [key, same] of byModel) {
    const pauses = same.map(({ pause }) => pause)
    share(key, pauses, same[0]!.upstream.name)
  }
  for (const [name, pauses] of byKey) share(`cooldown:key:${name}`, [...pauses], name)
  for (const [name, breaker] of breakers) {
    const key = `cooldown:breaker:${name}`
    breaker.onOpen = (ms) => say(key, { ms })
    hears.push({ key, hear: (_, ms) => breaker.suspect(ms) })
  }

  let reading = false
  const timer = setInterval(async () => {
    if (reading) return
    reading = true
    try {
      await Promise.all(
        hears.map(async ({ key, hear }) => {
          const said = parsed(await shared.get(key))
          if (!said) return
          const ms = Math.min(said.until - now(), said.ms, LONGEST_MS)
          if (ms > 0) hear(said, ms)
        }),
      )
    } finally {
      reading = false
    }
  }, POLL_MS)
  timer.unref()
  return () => clearInterval(timer)
}

/** The kinds of failure that make a pause. */
const KINDS: readonly unknown[] = ['rate_limited', 'misconfigured', undefined]

function parsed(text: string | undefined): Said | undefined {
  if (text === undefined) return undefined
  try {
    const said = JSON.parse(text) as Said
    const fits =
      Number.isFinite(said.until) && Number.isFinite(said.ms) && KINDS.includes(said.kind)
    return fits ? said : undefined
  } catch {
    return undefined
  }
}
