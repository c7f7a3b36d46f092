import Type from 'typebox'
import { Compile } from 'typebox/compile'
import type { Decision } from '../../../models/decision/decision.ts'
import {
  chooseInSession,
  type SessionTurn,
  type WarmPrefix,
} from '../../../models/decision/session-cost.ts'
import type { GatewayRequest, ServePlan } from '../../gateway/contracts.ts'
import { needsOf } from '../../gateway/needs.ts'
import { STUCK_SIGNS, stuckSigns } from '../../gateway/session-signs.ts'
import { sessionKey } from '../../gateway/sessions.ts'
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
  /** by model: tokens that it has read, and when (milliseconds since 1970) */
  warm: Type.Record(Type.String(), Type.Tuple([Type.Number(), Type.Number()])),
  /** answers so far */
  turns: Type.Number(),
  /** tokens of the first prompt */
  first: Type.Number(),
  /** mean of the router's win rates so far */
  mean: Type.Number(),
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
  step(section, _, { shared, priceOf }) {
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
        const { win_rate: winRate, threshold } = decision
        const pair = pairOf(decision, open)
        if (winRate === null || !pair) return skip('no_pair')
        const chosen = choose(pair, session, request, { winRate, threshold, gain })
        if (chosen === undefined) return skip('no_price')
        const reason = reasonFor(chosen, model, decision.model, sign)
        const rest = [pair.strong, pair.weak].filter((other) => other !== chosen)
        return state.serve({ models: [chosen, ...rest] }, { reason }, { decision })
      },
      decided(state, plan) {
        remember(state, plan)
      },
    }

    /** The model for this turn; undefined where a price is not known. */
    function choose(
      { strong, weak }: Pair,
      session: Session,
      request: GatewayRequest,
      { winRate, threshold, gain }: { winRate: number; threshold: number; gain: number },
    ): string | undefined {
      const prices = { strong: priceOf?.(strong), weak: priceOf?.(weak) }
      if (!prices.strong || !prices.weak) return undefined
      const warm = (model: string): WarmPrefix | undefined => {
        const [tokens, time] = session.warm[model] ?? []
        return tokens === undefined ? undefined : { tokens, ageMs: request.time - time! }
      }
      const chosen = chooseInSession({
        winRate: Math.min(1, winRate + gain),
        meanWinRate: Math.min(1, session.mean + gain),
        threshold,
        last: session.model === strong ? 'strong' : 'weak',
        switchLoss: loss,
        strong: { price: prices.strong, warm: warm(strong) },
        weak: { price: prices.weak, warm: warm(weak) },
        turn: turnOf(session, request),
      })
      return chosen === 'strong' ? strong : weak
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
        warm: { ...session?.warm, [model]: [read, request.time] },
        turns,
        first: session?.first ?? promptTokens,
        mean: (session?.mean ?? winRate) + (winRate - (session?.mean ?? winRate)) / turns,
        stuck: session ? stuckNow(session, request.body.messages).gain : 0,
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

interface Pair {
  readonly strong: string
  readonly weak: string
}

/** The two models of a router's decision that are open: the first one of its order if the win rate is reached. */
function pairOf(
  { candidates, win_rate: winRate, threshold }: Decision,
  open: readonly string[],
): Pair | undefined {
  const models = candidates.filter(({ model }) => open.includes(model)).map(({ model }) => model)
  const [first, second] = models
  if (winRate === null || models.length !== 2 || first === undefined || second === undefined) {
    return undefined
  }
  return winRate >= threshold ? { strong: first, weak: second } : { strong: second, weak: first }
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
