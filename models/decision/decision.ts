import Type from 'typebox'
import type { ChoiceRule } from '../bundle/choice-rule.ts'
import { ChatMessage, LIST_LIMIT, MESSAGES_LIMIT, ReadonlyList } from '../reading/messages.ts'

/**
 * The body of `POST /route`, also passed by in-process callers. Exactly one of prompt and messages is set.
 */
export const RouteRequest = Type.Object(
  {
    prompt: Type.Optional(Type.String()),
    messages: Type.Optional(ReadonlyList(ChatMessage, { minItems: 1, maxItems: MESSAGES_LIMIT })),
    system: Type.Optional(Type.String()),
    tools: Type.Optional(
      // any object, so that the tool types of client libraries fit
      Type.Unsafe<readonly object[]>(
        Type.Array(Type.Record(Type.String(), Type.Unknown()), { maxItems: LIST_LIMIT }),
      ),
    ),
    router: Type.Optional(Type.String({ maxLength: 200 })),
    threshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    models: Type.Optional(
      Type.Unsafe<readonly string[]>(
        Type.Array(Type.String({ maxLength: 200 }), {
          minItems: 1,
          maxItems: LIST_LIMIT,
          description: 'allow-list',
        }),
      ),
    ),
    session_id: Type.Optional(Type.String({ maxLength: 1000 })),
    previous_model: Type.Optional(Type.String({ maxLength: 200 })),
    metadata: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { maxProperties: LIST_LIMIT }),
    ),
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
  wait_usd: Type.Optional(
    Type.Number({ description: 'what waiting for its answer counts as beside dollars' }),
  ),
})
export type DecisionCandidate = Type.Static<typeof DecisionCandidate>

/** A training prompt that the head compared with this one. */
export const Neighbour = Type.Object({
  prompt_hash: Type.String({ description: 'first 16 hex digits of the prompt’s SHA-256' }),
  similarity: Type.Number({ description: 'cosine of the embeddings' }),
  weight: Type.Number({ description: 'its share of all that counted, 0 to 1' }),
  win_rate: Type.Number({
    description: 'what was observed: (1 + strong - weak) / 2, or the votes',
  }),
  strong: Type.Optional(Type.Number()),
  weak: Type.Optional(Type.Number()),
  text: Type.Optional(Type.String({ description: 'its start, where weir train kept it' })),
})
export type Neighbour = Type.Static<typeof Neighbour>

/** A step other than the score that was evaluated, whether or not it affected the decision. */
export const RuleHit = Type.Object({
  step: Type.String(),
  name: Type.Optional(Type.String()),
  matched: Type.Boolean(),
  reason: Type.Optional(Type.String()),
})
export type RuleHit = Type.Static<typeof RuleHit>

const Part = { weight: Type.Number(), win_rate: Type.Number() }

/**
 * What moved the win rate. For a linear head: its features, with additive contributions to the log-odds or to
 * the difference of success rates. For other heads: the parts of the prompt, with the drop in log-odds when
 * each is removed, and the training prompts if the head uses them. Also the other steps that took part in the
 * decision.
 */
export const Explanation = Type.Object({
  features: Type.Array(Type.Object({ name: Type.String(), contribution: Type.Number() })),
  /** the neighbours with the largest weights */
  neighbours: Type.Optional(Type.Array(Neighbour)),
  /** sum of weight x win rate over neighbours, others and prior, before calibration or mixing */
  neighbourhood: Type.Optional(
    Type.Object({
      win_rate: Type.Number(),
      others: Type.Object({ count: Type.Integer(), ...Part }),
      prior: Type.Object(Part),
    }),
  ),
  /** the text that the router read of the request, by its bundle's recipe */
  read: Type.Optional(Type.String()),
  /** why this explanation contains less than might be expected */
  note: Type.Optional(Type.String()),
  /** what the router's figures rest on, if only one model answered most of its training prompts */
  observational: Type.Optional(Type.String()),
  /** the public key that signed the router's bundle, if it is signed */
  signed_by: Type.Optional(Type.String()),
  /** steps other than the score that were evaluated */
  rules: Type.Optional(Type.Array(RuleHit)),
  /** the threshold at which the other model of the pair would have been chosen */
  flip: Type.Optional(
    Type.Object({
      threshold: Type.Number(),
      when: Type.Union([Type.Literal('above'), Type.Literal('at or below')]),
      model: Type.String(),
    }),
  ),
})
export type Explanation = Type.Static<typeof Explanation>

/** One decision of the router: the model to use, why, and what to try next, in fallback order. */
export const Decision = Type.Object({
  id: Type.String(),
  object: Type.Literal('routing.decision'),
  created: Type.Integer({ description: 'seconds since 1970' }),
  router: Type.Object({ name: Type.String(), version: Type.String() }),
  model: Type.String(),
  /** null if the router could not answer in time and had no fallback head */
  win_rate: Nullable<number>('number'),
  threshold: Type.Number(),
  calibrated: Type.Boolean({ description: 'win rates were probability-calibrated' }),
  candidates: Type.Array(DecisionCandidate),
  choice: Type.Optional(
    Type.Unsafe<ChoiceRule>({
      ...Type.Object({
        kind: Type.String(),
        lambda: Type.Optional(Type.Number({ description: 'quality that a dollar must buy' })),
        loss: Type.Optional(Type.Number()),
      }),
      description: 'the rule that ranked the candidates, if it is one among several models',
    }),
  ),
  reason: Type.String(),
  fallback: Type.Boolean(),
  fallback_reason: Nullable<string>('string'),
  propensity: Type.Number(),
  timing_ms: Type.Number(),
  truncated: Type.Boolean(),
  ood: Type.Optional(
    Type.Number({ description: 'how unlike the training prompts it is: than which share of them' }),
  ),
  audit: Type.Optional(
    Type.Boolean({ description: 'let candidates[1] answer as well, and send feedback on both' }),
  ),
  explanation: Type.Optional(Explanation),
})
export type Decision = Type.Static<typeof Decision>
