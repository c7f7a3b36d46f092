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

/** How often the pauses of others are read, in milliseconds. */
const POLL_MS = 1000
/** Longest pause that is taken over from another server. */
const LONGEST_MS = 10 * 60_000

/** A pause, or the time that a breaker is open, as one server publishes it. */
interface SharedPause {
  /** milliseconds since 1970, by the clock of the server that publishes it */
  readonly until: number
  /** its length when it was published: clocks may differ by seconds, and none makes it longer */
  readonly ms: number
  readonly kind?: FailureKind
  readonly reason?: string
  readonly status?: number
}

/**
 * Shares the pauses that upstreams ask for: all servers respect a rate limit or a refused key that one of them meets,
 * within a second. An open breaker is a hint only, since it may be that server's own connection: here it opens at the
 * first failure. Without the store each server learns for itself.
 *
 * @returns ends it
 */
export function shareCooldowns(options: CooldownOptions): () => void {
  const { shared, backends, breakers, clock, now } = options
  const topics: { readonly key: string; apply(pause: SharedPause, ms: number): void }[] = []
  const publish = (key: string, pause: Omit<SharedPause, 'until'>): void => {
    if (pause.ms <= 0) return
    shared.set(key, JSON.stringify({ ...pause, until: now() + pause.ms }), pause.ms)
  }
  const share = (key: string, pauses: readonly Pause[], upstream: string): void => {
    for (const pause of pauses) {
      pause.onSet = (until, { kind, reason, upstreamStatus: status }) =>
        publish(key, { ms: until - clock(), kind, reason, ...(status !== undefined && { status }) })
    }
    topics.push({
      key,
      apply({ kind = 'rate_limited', reason = '', status }, ms) {
        const failure = new UpstreamError(kind, { upstream, reason, status, retryAfterMs: ms })
        for (const pause of pauses) pause.extend(clock() + ms, failure)
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
    breaker.onOpen = (ms) => publish(key, { ms })
    topics.push({ key, apply: (_, ms) => breaker.suspect(ms) })
  }

  let reading = false
  const timer = setInterval(async () => {
    if (reading) return
    reading = true
    try {
      await Promise.all(
        topics.map(async ({ key, apply }) => {
          const pause = parsed(await shared.get(key))
          if (!pause) return
          const ms = Math.min(pause.until - now(), pause.ms, LONGEST_MS)
          if (ms > 0) apply(pause, ms)
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

function parsed(text: string | undefined): SharedPause | undefined {
  if (text === undefined) return undefined
  try {
    const pause = JSON.parse(text) as SharedPause
    const fits =
      Number.isFinite(pause.until) && Number.isFinite(pause.ms) && KINDS.includes(pause.kind)
    return fits ? pause : undefined
  } catch {
    return undefined
  }
}
