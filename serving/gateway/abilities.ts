import type { UpstreamError } from '../upstreams/failure.ts'
import type { PassedBody } from '../upstreams/upstream.ts'
import { type Inability, inabilityOf } from './inability.ts'
import { type Feature, type Needs, needsOf } from './needs.ts'

/** What the configuration says of a model. Absent is unknown: the model is asked. */
export interface StatedAbilities {
  /** tokens of prompt and answer together */
  readonly context?: number | undefined
  /** most tokens of an answer */
  readonly outputTokens?: number | undefined
  readonly features?: Partial<Readonly<Record<Feature, boolean>>> | undefined
}

/** How long something learnt from a refusal holds, in milliseconds: the model behind a name may change. */
const LEARNT_MS = 10 * 60_000
/** Room for an answer whose limit is not stated, in tokens; at most a quarter of the context. */
const ANSWER_ROOM = 1024

const MEDIA: ReadonlySet<Feature> = new Set(['images', 'audio', 'files'])
/** A refusal of fewer tokens than this says nothing about other requests. */
const LEAST_LEARNT = 1000

/** What one model can take: as stated, and as learnt from the requests it refused. */
export class Abilities {
  private readonly stated: StatedAbilities
  private readonly now: () => number
  private readonly learnt = new Map<Feature, number>()
  private context: { readonly tokens: number; readonly until: number } | undefined

  /** @param now milliseconds, never going back */
  constructor(stated: StatedAbilities, now: () => number) {
    this.stated = stated
    this.now = now
  }

  /** Why a request is not for this model; undefined if, as far as is known, it can take it. */
  lacks(body: PassedBody): string | undefined {
    const { context: stated, features } = this.stated
    // reading a long conversation has a cost
    if (stated === undefined && !features && this.learnt.size === 0 && !this.context) {
      return undefined
    }
    const needs = needsOf(body)
    for (const feature of needs.features) {
      if (this.stated.features?.[feature] === false) return `${feature}, which it does not take`
      const until = this.learnt.get(feature)
      if (until !== undefined && until > this.now()) return `${feature}, which it refused before`
    }
    const context = this.contextTokens()
    if (context === undefined) return undefined
    const tokens = needs.promptTokens + this.room(needs, context)
    return tokens > context
      ? `about ${tokens} tokens with the answer, and its context is ${context}`
      : undefined
  }

  /** Tokens that the model holds, as far as is known. */
  contextTokens(): number | undefined {
    const { context } = this
    const learnt = context && context.until > this.now() ? context.tokens : undefined
    const stated = this.stated.context
    if (learnt === undefined || stated === undefined) return learnt ?? stated
    return Math.min(learnt, stated)
  }

  private room({ answerTokens }: Needs, context: number): number {
    const most = this.stated.outputTokens ?? Number.POSITIVE_INFINITY
    return Math.ceil(Math.min(answerTokens ?? Math.min(ANSWER_ROOM, context / 4), most))
  }

  /** The context to assume after a refusal that states this one, if any. */
  private refusedTokens(stated: number | undefined, needs: Needs): number | undefined {
    const estimate = needs.promptTokens + this.room(needs, stated ?? Number.POSITIVE_INFINITY)
    // the tokens of images and files are not known well enough to learn from
    const media = needs.features.some((each) => MEDIA.has(each))
    if (media || needs.promptTokens < LEAST_LEARNT) return stated
    if (stated === undefined) return estimate
    // an estimate that let the request through is too low for this model, unless it is something else altogether
    return estimate * 3 >= stated ? Math.min(stated, estimate) : stated
  }

  /** Remembers what a refusal says about the model, if it says anything that holds for other requests too. */
  learn({ context, feature, tooLong }: Inability, needs: Needs): void {
    const until = this.now() + LEARNT_MS
    if (feature) this.learnt.set(feature, until)
    if (!tooLong) return
    const tokens = this.refusedTokens(context, needs)
    if (tokens === undefined) return
    const before = this.contextTokens()
    this.context = { tokens: before === undefined ? tokens : Math.min(before, tokens), until }
  }
}

/** What an upstream's refusal says about the model, learnt; undefined if another model would refuse it too. */
export function learnFrom(
  abilities: Abilities | undefined,
  error: UpstreamError,
  body: PassedBody,
): Inability | undefined {
  const inability = inabilityOf(error, body)
  if (inability) abilities?.learn(inability, needsOf(body))
  return inability
}
