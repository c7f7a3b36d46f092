import Type from 'typebox'

/** One question to one upstream, whatever came of it. */
export const GatewayAttempt = Type.Object({
  model: Type.String(),
  upstream: Type.String(),
  /** `answered`, `cancelled` or the failure's kind */
  outcome: Type.String(),
  ms: Type.Number(),
  input_tokens: Type.Optional(Type.Number()),
  output_tokens: Type.Optional(Type.Number()),
  cost_usd: Type.Optional(Type.Number()),
})
export type GatewayAttempt = Type.Static<typeof GatewayAttempt>

/** One request that the gateway ended: who was to answer and why, who did, what it took and cost. */
export const GatewayRecord = Type.Object({
  object: Type.Literal('gateway'),
  /** `x-weir-id` of the answer: feedback may name it */
  id: Type.String(),
  /** when it came, milliseconds since 1970 */
  time: Type.Number(),
  /** `chat`, `responses` or `embeddings` */
  endpoint: Type.String(),
  /** name of the API key */
  key: Type.String(),
  /** the model that the client asked for */
  asked: Type.String(),
  /** the step that decided, its reason, and the rule's or route's name */
  step: Type.String(),
  reason: Type.String(),
  rule: Type.Optional(Type.String()),
  /** the policy file that decided; hash: the first 12 hex digits of its text's SHA-256 */
  policy: Type.Optional(Type.Object({ name: Type.String(), hash: Type.String() })),
  /** what the policy noted, such as the state of a budget */
  notes: Type.Optional(Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]))),
  /** `single`, `cascade` and so on; `refuse` where the policy refused */
  strategy: Type.String(),
  /** models in the order they were to be tried */
  targets: Type.Array(Type.String()),
  /** the one that answered; null where none did */
  model: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  upstream: Type.Optional(Type.String()),
  /** the first target, where another answered because it failed */
  failover_from: Type.Optional(Type.String()),
  /** probability that this request was given the first target */
  propensity: Type.Number(),
  /** the learned router's decision, where it had a part in it: a `decision` line of its own */
  decision_id: Type.Optional(Type.String()),
  win_rate: Type.Optional(Type.Unsafe<number | null>({ type: ['number', 'null'] })),
  threshold: Type.Optional(Type.Number()),
  attempts: Type.Array(GatewayAttempt),
  /** US dollars of all attempts; absent where a price or a count is not known */
  cost_usd: Type.Optional(Type.Number()),
  /** less than the dearest of the models it could have gone to */
  saved_usd: Type.Optional(Type.Number()),
  ms: Type.Number(),
  first_byte_ms: Type.Optional(Type.Number()),
  status: Type.Integer(),
  code: Type.Optional(Type.String()),
  /** what a strategy's checks said of its answers: their thresholds can be fitted to these */
  checks: Type.Optional(
    Type.Array(
      Type.Object({
        check: Type.String(),
        model: Type.String(),
        score: Type.Unsafe<number | null>({ type: ['number', 'null'] }),
        threshold: Type.Optional(Type.Number()),
        passed: Type.Boolean(),
      }),
    ),
  ),
  session_id: Type.Optional(Type.String()),
  /** stated by the client */
  asked_threshold: Type.Optional(Type.Number()),
  previous_model: Type.Optional(Type.String()),
  /** the request's allow-list */
  models: Type.Optional(Type.Array(Type.String())),
  /** of the conversation, tool definitions included */
  characters: Type.Optional(Type.Integer()),
  /** most tokens of the answer that the client asked for */
  max_tokens: Type.Optional(Type.Number()),
  images: Type.Optional(Type.Literal(true)),
  tools: Type.Optional(Type.Literal(true)),
  /** as `log.metadata` switches on */
  metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  tags: Type.Optional(Type.Array(Type.String())),
  /** as `log.text` says: the text that is routed on, where no decision line holds it */
  text: Type.Optional(Type.String()),
  /** the last user message, where it is not the whole of it */
  question: Type.Optional(Type.String()),
})
export type GatewayRecord = Type.Static<typeof GatewayRecord>
