import Type from 'typebox'
import { ChatMessage } from './messages.ts'

/** The body of `POST /route`, and what an in-process caller passes. Exactly one of prompt and messages. */
export const RouteRequest = Type.Object(
  {
    prompt: Type.Optional(Type.String()),
    messages: Type.Optional(Type.Array(ChatMessage, { minItems: 1 })),
    system: Type.Optional(Type.String()),
    tools: Type.Optional(Type.Array(Type.Record(Type.String(), Type.Unknown()))),
    router: Type.Optional(Type.String()),
    threshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    models: Type.Optional(Type.Array(Type.String(), { minItems: 1, description: 'allow-list' })),
    session_id: Type.Optional(Type.String()),
    previous_model: Type.Optional(Type.String()),
    metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    explain: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)
export type RouteRequest = Type.Static<typeof RouteRequest>

/** A list of types, not a union: the response serializer writes it without checking each alternative. */
const Nullable = <T>(type: 'string' | 'number') => Type.Unsafe<T | null>({ type: [type, 'null'] })

export const DecisionCandidate = Type.Object({
  model: Type.String(),
  score: Type.Number(),
  eligible: Type.Boolean(),
  reason: Type.String(),
  est_cost_usd: Nullable<number>('number'),
  propensity: Type.Number(),
})
export type DecisionCandidate = Type.Static<typeof DecisionCandidate>

/** What moved the win rate: additive contributions to the log-odds or the difference of success rates. */
export const Explanation = Type.Object({
  features: Type.Array(Type.Object({ name: Type.String(), contribution: Type.Number() })),
  /** the threshold at which the other one of the pair would have been chosen */
  flip: Type.Optional(
    Type.Object({
      threshold: Type.Number(),
      when: Type.Union([Type.Literal('above'), Type.Literal('at or below')]),
      model: Type.String(),
    }),
  ),
})
export type Explanation = Type.Static<typeof Explanation>

/** One answer of the router: the model to use, why, and what to try next, in fallback order. */
export const Decision = Type.Object({
  id: Type.String(),
  object: Type.Literal('routing.decision'),
  created: Type.Integer({ description: 'seconds since 1970' }),
  router: Type.Object({ name: Type.String(), version: Type.String() }),
  model: Type.String(),
  /** null where the router could not answer in time and had no fallback head */
  win_rate: Nullable<number>('number'),
  threshold: Type.Number(),
  calibrated: Type.Boolean({ description: 'win rates were probability-calibrated' }),
  candidates: Type.Array(DecisionCandidate),
  reason: Type.String(),
  fallback: Type.Boolean(),
  fallback_reason: Nullable<string>('string'),
  propensity: Type.Number(),
  timing_ms: Type.Number(),
  truncated: Type.Boolean(),
  audit: Type.Optional(
    Type.Boolean({ description: 'let candidates[1] answer as well, and send feedback on both' }),
  ),
  explanation: Type.Optional(Explanation),
})
export type Decision = Type.Static<typeof Decision>
