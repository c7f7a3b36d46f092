import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { definedOnly } from '../../../core/defined.ts'
import type { Decision } from '../../../models/decision/decision.ts'
import {
  chooseAmongInSession,
  chooseInSession,
  type SessionModel,
  type SessionTurn,
} from '../../../models/decision/session-cost.ts'
import type { GatewayRequest, ServePlan } from '../../gateway/contracts.ts'
import { needsOf } from '../../gateway/needs.ts'
import { STUCK_SIGNS, sessionKey, stuckSigns } from '../../gateway/sessions.ts'

import type { ChatTurn } from '../../upstreams/upstream.ts'
import { closed } from '../file.ts'
import { SharedMemory } from '../shared-memory.ts'
import { type PolicyRow, type StepState, skip } from '../step.ts'

const Sessions = Type.Object(
  {
    /** how long providers keep a prompt in their cache (default 5) */
    cache_minutes: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    /** win rate that another model loses by taking a conversation over (default 0.02) */
    switch_loss: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    /** most turns that the cost of a switch is spread over (default 10) */
    turns: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    /** added to the win rate of the rest of a session in which these signs were seen (default 0.1 for each) */
    stuck: Type.Optional(
      Type.Partial(
        Type.Object(
          Object.fromEntries(
            STUCK_SIGNS.map((sign) => [sign, Type.Number({ minimum: 0, maximum: 1 })]),
          ),
          closed,
        ),
      ),
    ),
    /** how long a session is remembered (default 60) */
    minutes: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    /** sessions that this process remembers (default 10,000) */
    sessions: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  closed,
)

/** What is remembered of a session. Short names: it travels to the store that servers share. */
const Session = Type.Object({
  /** the model of the last answer */
  model: Type.String(),
  /** by cache of prompts, which is a model's: tokens that it has read, and when (milliseconds since 1970) */
  warm: Type.Record(Type.String(), Type.Tuple([Type.Number(), Type.Number()])),
  /** answers so far */
  turns: Type.Number(),
  /** tokens of the first prompt */
  first: Type.Number(),
  /** mean of the router's win rates so far */
  mean: Type.Number(),
  /** by model: mean of the qualities that a router among several expected */
  quality: Type.Optional(Type.Record(Type.String(), Type.Number())),
  /** added to the win rate, as it was stuck */
  stuck: Type.Number(),
})
type Session = Type.Static<typeof Session>
const isSession = Compile(Session)

const STUCK_GAIN = 0.1
const FEW_TURNS = 5
/** Tokens of an answer without a stated limit, in a session. */
const ANSWER_TOKENS = 500

/**
 * A turn of a session is decided with the price of switching: what another model must read again, as against
 * what the last one has in its provider's cache. Inside a loop of tools the model does not change.
 */
export const sessions: PolicyRow<typeof Sessions> = {
  key: 'sessions',
  schema: Sessions,
  step(section, _, { shared, priceOf, cacheOf = (model) => model, answerTokensOf }) {
    const { cache_minutes: cache = 5, switch_loss: loss = 0.02, turns: most = 10 } = section
    const { minutes = 60, sessions: limit = 10_000, stuck: gains = {} } = section
    const lifetimeMs = cache * 60_000
    const memory = new SharedMemory<Session>({
      prefix: 'session:',
      entries: limit,
      lifetimeMs: minutes * 60_000,
      shared,
      changes: true,
      isValue: (value): value is Session => isSession.Check(value),
    })

    const cacheName = (model: string): string => cacheOf(model) ?? model

    /** What the session's signs add to the win rate, and which one is new. */
    const stuckNow = (
      session: Session,
      messages: readonly ChatTurn[],
    ): { readonly gain: number; readonly sign: string | undefined } => {
      let gain = session.stuck
      let sign: string | undefined
      for (const each of stuckSigns(messages)) {
        const its = (gains as Readonly<Record<string, number>>)[each] ?? STUCK_GAIN
        if (its <= gain) continue
        gain = its
        sign = each
      }
      return { gain, sign }
    }

    return {
      async decide(state) {
        const { request, open, learned } = state
        const session = await memory.get(request, sessionKey(request))
        if (!session) return undefined
        const { model } = session
        if (!open.includes(model)) return skip('models_closed', model)
        const { messages } = request.body
        const { gain, sign } = stuckNow(session, messages)
        if (inToolLoop(messages) && sign === undefined) {
          const others = open.filter((other) => other !== model)
          return state.serve({ models: [model, ...others] }, { reason: 'tool_loop' })
        }
        const decision = await learned()
        if ('kind' in decision) return skip(decision.kind === 'skip' ? decision.reason : 'refused')
        const pair = decision.choice ? undefined : pairOf(decision)
        if (!decision.choice && !pair) return skip('no_pair')
        const chosen = pair
          ? chooseOfPair(pair, session, request, gain)
          : chooseAmong(decision, session, request, gain)
        if (chosen === undefined) return skip('no_price')
        const reason = reasonFor(chosen, model, decision.model, sign)
        const able = decision.candidates.filter(({ eligible }) => eligible)
        const rest = able.map((one) => one.model).filter((other) => other !== chosen)
        return state.serve({ models: [chosen, ...rest] }, { reason }, { decision })
      },
      decided(state, plan) {
        remember(state, plan)
      },
    }

    /** What a model costs in this session; undefined where its price is not known. */
    function costsOf(
      { model, waitUsd }: Side,
      session: Session,
      { body, time }: GatewayRequest,
    ): SessionModel | undefined {
      const price = priceOf?.(model)
      if (!price) return undefined
      const [tokens, read] = session.warm[cacheName(model)] ?? []
      const warm = tokens === undefined ? undefined : { tokens, ageMs: time - read! }
      const usual = answerTokensOf?.(model)
      if (usual === undefined) return { price, warm, waitUsd }
      const { answerTokens: most = usual } = needsOf(body)
      return { price, warm, waitUsd, answerTokens: Math.min(usual, most) }
    }

    /** The model for this turn; undefined where a price is not known. */
    function chooseOfPair(
      { strong, weak, winRate, threshold }: Pair,
      session: Session,
      request: GatewayRequest,
      gain: number,
    ): string | undefined {
      const costs = {
        strong: costsOf(strong, session, request),
        weak: costsOf(weak, session, request),
      }
      if (!costs.strong || !costs.weak) return undefined
      const chosen = chooseInSession({
        winRate: Math.min(1, winRate + gain),
        meanWinRate: Math.min(1, session.mean + gain),
        threshold,
        last: session.model === strong.model ? 'strong' : 'weak',
        switchLoss: cacheName(strong.model) === cacheName(weak.model) ? 0 : loss,
        strong: costs.strong,
        weak: costs.weak,
        turn: turnOf(session, request),
      })
      return (chosen === 'strong' ? strong : weak).model
    }

    /** As `chooseOfPair`, among the candidates of a rule. A gain or loss of win rate is twice that of quality. */
    function chooseAmong(
      { candidates, choice }: Decision,
      session: Session,
      request: GatewayRequest,
      gain: number,
    ): string | undefined {
      const turn = turnOf(session, request)
      const open = candidates.filter(({ eligible }) => eligible)
      const expected = open.map(
        ({ model, score }) =>
          (score + (turn.turns - 1) * (session.quality?.[model] ?? score)) / turn.turns,
      )
      const [least, most] = [Math.min(...expected), Math.max(...expected)]
      const costs = open.map(({ model, wait_usd: waitUsd }) =>
        costsOf({ model, waitUsd }, session, request),
      )
      if (costs.includes(undefined)) return undefined
      const last = cacheName(session.model)
      const ranked = costs.map((its, i) => {
        // a stuck session raises the better models above the others
        const raised = most > least ? (2 * gain * (expected[i]! - least)) / (most - least) : 0
        const lost = cacheName(open[i]!.model) === last ? 0 : 2 * loss
        return { ...its!, quality: expected[i]! + raised - lost }
      })
      return open[chooseAmongInSession(choice!, ranked, turn)]!.model
    }

    function turnOf(session: Session, { body }: GatewayRequest): SessionTurn {
      const { promptTokens, answerTokens } = needsOf(body)
      const grown = (promptTokens - session.first) / Math.max(1, session.turns)
      return {
        promptTokens,
        answerTokens: Math.min(answerTokens ?? ANSWER_TOKENS, ANSWER_TOKENS),
        growthTokens: Math.max(0, grown),
        // a session that has lasted so long lasts about as long again, and a new one a few turns
        turns: Math.min(most, session.turns + FEW_TURNS),
        lifetimeMs,
      }
    }

    function remember({ request }: StepState, plan: ServePlan): void {
      // a rule's answer, to a question of the agent's own, is none of the session's turns
      if (plan.strategy.kind !== 'single' || !SESSION_STEPS.has(plan.deciding.step)) return
      const key = sessionKey(request)
      const keep = (session: Session | undefined): void =>
        memory.set(request, key, grown(session, request, plan))
      const before = memory.get(request, key)
      if (before instanceof Promise) void before.then(keep)
      else keep(before)
    }

    function grown(
      session: Session | undefined,
      request: GatewayRequest,
      plan: ServePlan,
    ): Session {
      const { promptTokens, answerTokens } = needsOf(request.body)
      const { model } = plan.targets[0]!
      const read = promptTokens + Math.min(answerTokens ?? ANSWER_TOKENS, ANSWER_TOKENS)
      const turns = (session?.turns ?? 0) + 1
      const winRate = plan.decision?.win_rate ?? session?.mean ?? 0.5
      return {
        model,
        warm: { ...session?.warm, [cacheName(model)]: [read, request.time] },
        turns,
        first: session?.first ?? promptTokens,
        mean: (session?.mean ?? winRate) + (winRate - (session?.mean ?? winRate)) / turns,
        stuck: session ? stuckNow(session, request.body.messages).gain : 0,
        ...definedOnly({ quality: qualities(session, plan.decision, turns) }),
      }
    }
  },
}

/** Steps whose decisions a session goes on from. */
const SESSION_STEPS = new Set<string>([
  'sessions',
  'sticky',
  'learned',
  'cache',
  'default',
  'fallback',
])

/** Why a model was chosen: as a label of metrics, one of few. */
function reasonFor(
  chosen: string,
  last: string,
  decided: string,
  sign: string | undefined,
): string {
  if (sign !== undefined && chosen !== last) return `stuck_${sign}`
  if (chosen === decided) return chosen === last ? 'kept' : 'worth_switching'
  return chosen === last ? 'switch_too_dear' : 'session_as_a_whole'
}

/** The means of what a router among several expects of each model, this turn's included. */
function qualities(
  session: Session | undefined,
  decision: Decision | undefined,
  turns: number,
): Session['quality'] {
  if (!decision?.choice) return session?.quality
  return Object.fromEntries(
    decision.candidates.map(({ model, score }) => {
      const before = session?.quality?.[model] ?? score
      return [model, before + (score - before) / turns]
    }),
  )
}

interface Pair {
  readonly strong: Side
  readonly weak: Side
  readonly winRate: number
  readonly threshold: number
}

interface Side {
  readonly model: string
  readonly waitUsd: number | undefined
}

/** Reasons of decisions between the two models of a pair. */
const OF_PAIR = new Set(['win_rate_reached', 'win_rate_below', 'explored'])

/** The two models that a router decided between, whichever chance then took; undefined if it had no choice. */
function pairOf({ candidates, win_rate: winRate, threshold, reason }: Decision): Pair | undefined {
  const [first, second] = candidates.map(
    ({ model, wait_usd: waitUsd }): Side => ({ model, waitUsd }),
  )
  if (winRate === null || !OF_PAIR.has(reason) || first === undefined || second === undefined) {
    return undefined
  }
  const strongFirst = winRate >= threshold !== (reason === 'explored')
  const [strong, weak] = strongFirst ? [first, second] : [second, first]
  return { strong, weak, winRate, threshold }
}

/** Whether results of tools have come since the assistant's last turn. */
function inToolLoop(messages: readonly ChatTurn[]): boolean {
  for (let i = messages.length - 1; i >= 0; i--) {
    const { role } = messages[i]!
    if (role === 'tool') return true
    if (role === 'assistant') return false
  }
  return false
}
