import { WeirError } from '../../core/errors.ts'
import { takingTurns } from '../../core/turns.ts'
import type { Advice } from '../../models/online/online-head.ts'
import type { RouterScores } from '../../models/router.ts'
import type { DeadlineQueue } from './deadline.ts'
import type { CachedScore, LiveRouter } from './live-router.ts'

/** Why the router itself did not make a decision. */
export type FallbackReason = 'deadline' | 'encoder_failed'

/** What is known about a prompt when its decision is made. */
export interface Scored {
  /** absent if neither the router nor a fallback head answered */
  readonly winRate: number | undefined
  readonly quality: Float64Array | undefined
  readonly truncated: boolean
  /** how unlike the training prompts it is, 0 to 1, if the encoder knows */
  readonly ood: number | undefined
  readonly fallbackReason?: FallbackReason
  readonly cache: 'hit' | 'miss' | 'off'
  /** from online updates, if they are switched on */
  readonly advice?: Advice
}

/** Called for encoder failures, which a client never sees: it gets a fallback. */
export type OnEncoderFailure = (error: unknown, router: string) => void

/** Scores a prompt in time: from the cache, with the router, else with its fallback head, else not at all. */
export function scorePrompt(
  live: LiveRouter,
  text: string,
  hash: string,
  deadlines: DeadlineQueue,
  onFailure: OnEncoderFailure,
): Promise<Scored> | Scored {
  const { cache, router } = live
  const known = cache?.get(hash)
  if (known) return withCache(known, 'hit')
  const state = cache ? 'miss' : 'off'
  if (router.scoreNow) {
    try {
      return withCache(kept(live, hash, router.scoreNow(text)), state)
    } catch (error) {
      onFailure(error, router.manifest.name)
      return fallback(live, text, 'encoder_failed', state)
    }
  }
  return scoreInTime(live, text, hash, deadlines, onFailure, state)
}

/** Field by field: a spread object costs a microsecond. */
function withCache(
  { winRate, quality, truncated, ood }: CachedScore,
  cache: Scored['cache'],
): Scored {
  return { winRate, quality, truncated, ood, cache }
}

async function scoreInTime(
  live: LiveRouter,
  text: string,
  hash: string,
  deadlines: DeadlineQueue,
  onFailure: OnEncoderFailure,
  state: 'miss' | 'off',
): Promise<Scored> {
  let fallbackReason: FallbackReason = 'deadline'
  try {
    // not awaited only here: a result that misses the deadline is still cached for the next request
    const work = scoreOne(live, text, hash)
    const scored = await deadlines.within(work)
    if (scored) return withCache(scored, state)
  } catch (error) {
    fallbackReason = 'encoder_failed'
    onFailure(error, live.router.manifest.name)
  }
  return fallback(live, text, fallbackReason, state)
}

async function fallback(
  live: LiveRouter,
  text: string,
  fallbackReason: FallbackReason,
  cache: 'miss' | 'off',
): Promise<Scored> {
  return { ...(await fallbackScore(live, text)), fallbackReason, cache }
}

async function scoreOne(live: LiveRouter, text: string, hash: string): Promise<CachedScore> {
  return kept(live, hash, await live.router.score([text]))
}

/** One prompt's scores, cached for its next request. */
function kept(
  live: LiveRouter,
  hash: string,
  { winRate, quality, truncated, ood }: RouterScores,
): CachedScore {
  const scored = { winRate: winRate[0]!, quality, truncated: truncated[0] === 1, ood: ood?.[0] }
  live.cache?.set(hash, scored)
  return scored
}

async function fallbackScore(
  live: LiveRouter,
  text: string,
): Promise<Pick<Scored, 'winRate' | 'quality' | 'truncated' | 'ood'>> {
  const unknown = { winRate: undefined, quality: undefined, truncated: false, ood: undefined }
  if (!live.router.scoreFallback) return unknown
  try {
    const { winRate, quality, truncated, ood } = await live.router.scoreFallback([text])
    return { winRate: winRate[0]!, quality, truncated: truncated[0] === 1, ood: ood?.[0] }
  } catch (error) {
    if (error instanceof WeirError) return unknown
    throw error
  }
}

/** Prompts of a batch, and their characters, that are encoded before other requests get a turn. */
const CHUNK = 64
const CHUNK_CHARACTERS = 128 * 1024

/** Scores the prompts of a batch together, each text once, without a deadline. */
export async function scoreBatch(
  live: LiveRouter,
  texts: readonly string[],
  hashes: readonly string[],
  onFailure: OnEncoderFailure,
): Promise<Scored[]> {
  const { cache, router } = live
  const known = new Map<string, Scored>()
  const missing = new Map<string, string>()
  hashes.forEach((hash, i) => {
    const found = cache?.get(hash)
    if (found) known.set(hash, { ...found, cache: 'hit' })
    else missing.set(hash, texts[i]!)
  })
  const turn = takingTurns(1)
  for (const part of chunksOf([...missing])) {
    await turn(1)
    try {
      const scores = await router.score(part.map(([, text]) => text))
      const width = (scores.quality?.length ?? 0) / part.length
      part.forEach(([hash], i) => {
        const scored = {
          winRate: scores.winRate[i]!,
          quality: scores.quality?.slice(i * width, (i + 1) * width),
          truncated: scores.truncated[i] === 1,
          ood: scores.ood?.[i],
        }
        cache?.set(hash, scored)
        known.set(hash, { ...scored, cache: cache ? 'miss' : 'off' })
      })
    } catch (error) {
      onFailure(error, router.manifest.name)
      for (const [hash, text] of part) {
        const scored = await fallbackScore(live, text)
        known.set(hash, {
          ...scored,
          fallbackReason: 'encoder_failed',
          cache: cache ? 'miss' : 'off',
        })
      }
    }
  }
  return hashes.map((hash) => known.get(hash)!)
}

/** The texts by hash in chunks of at most `CHUNK`, and of `CHUNK_CHARACTERS` unless one text has more. */
function chunksOf(texts: readonly (readonly [string, string])[]): (readonly [string, string])[][] {
  const chunks: (readonly [string, string])[][] = []
  let characters = 0
  for (const one of texts) {
    characters += one[1].length
    const last = chunks.at(-1)
    if (last && last.length < CHUNK && characters <= CHUNK_CHARACTERS) {
      last.push(one)
    } else {
      chunks.push([one])
      characters = one[1].length
    }
  }
  return chunks
}
