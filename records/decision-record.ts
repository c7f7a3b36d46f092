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
  /** the step that decided (`none` where the request failed before one did), its reason, and the rule's or route's name */
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

/**
 * Lines of a decision log. Every segment file starts with a `log` line that says what the lines after
 * it hold, so that a command that needs more can name the switch.
 */
export const LogHeader = Type.Object({
  object: Type.Literal('log'),
  format: Type.Literal(1),
  created: Type.String(),
  /** `none` (the hash only), `redacted` or `full` */
  text: Type.Union([Type.Literal('none'), Type.Literal('redacted'), Type.Literal('full')]),
  embedding: Type.Boolean(),
  /** of gateway requests: what rules read beside the text */
  metadata: Type.Optional(Type.Boolean()),
})
export type LogHeader = Type.Static<typeof LogHeader>

/** One decision, as it was answered (or, where `shadow`, as it would have been). */
export const DecisionRecord = Type.Object({
  object: Type.Literal('decision'),
  id: Type.String(),
  /** milliseconds since 1970 */
  time: Type.Number(),
  router: Type.String(),
  version: Type.String(),
  model: Type.String(),
  /** null where the router did not answer and had no fallback head */
  win_rate: Type.Unsafe<number | null>({ type: ['number', 'null'] }),
  /** the router's own win rate, where online updates corrected it */
  base_win_rate: Type.Optional(Type.Number()),
  threshold: Type.Number(),
  reason: Type.String(),
  /** probability that this request was given this model */
  propensity: Type.Number(),
  prompt_hash: Type.String(),
  /** the candidates beside the chosen one, with theirs, where there was any chance in it */
  propensities: Type.Optional(Type.Record(Type.String(), Type.Number())),
  shadow: Type.Optional(Type.Literal(true)),
  /** both models were asked for */
  audit: Type.Optional(Type.Literal(true)),
  fallback_reason: Type.Optional(Type.String()),
  session_id: Type.Optional(Type.String()),
  text: Type.Optional(Type.String()),
  /** base64 of little-endian float32, dense */
  embedding: Type.Optional(Type.String()),
})
export type DecisionRecord = Type.Static<typeof DecisionRecord>

/** What came of a decision: the outcome of the model that answered, by decision id. */
export const Feedback = Type.Object(
  {
    decision_id: Type.String({ minLength: 1, maxLength: 200 }),
    /** how good the answer was, 0 to 1 */
    score: Type.Number({ minimum: 0, maximum: 1 }),
    /** which model answered, where it was not the decision's own */
    model: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    /** who says so, such as `user`, `judge` or a metric's name */
    source: Type.Optional(Type.String({ maxLength: 200 })),
    cost_usd: Type.Optional(Type.Number({ minimum: 0 })),
    latency_ms: Type.Optional(Type.Number({ minimum: 0 })),
    input_tokens: Type.Optional(Type.Integer({ minimum: 0 })),
    output_tokens: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
)
export type Feedback = Type.Static<typeof Feedback>

export const FeedbackRecord = Type.Interface([Feedback], {
  object: Type.Literal('feedback'),
  /** when it was said, milliseconds since 1970 */
  time: Type.Number(),
  /** how the score was given, where not as one: thumbs, preference, correction, verdict */
  kind: Type.Optional(Type.String()),
  /** the other model of a preference, or the one that corrected */
  against: Type.Optional(Type.String()),
})
export type FeedbackRecord = Type.Static<typeof FeedbackRecord>

export type LogRecord = LogHeader | DecisionRecord | GatewayRecord | FeedbackRecord

/** What the lines of a segment hold of requests. */
export type LogContents = Omit<LogHeader, 'object' | 'format' | 'created'>

/**
 * A decision record as its line of JSON. Put together by hand, as it is written for every request:
 * only what may hold any text goes through JSON.stringify. Numbers are finite by contract.
 */
export function decisionLine(record: DecisionRecord): string {
  let line = `{"object":"decision","id":${quote(record.id)},"time":${record.time},"router":${quote(record.router)},"version":${quote(record.version)},"model":${quote(record.model)},"win_rate":${record.win_rate},"threshold":${record.threshold},"reason":"${record.reason}","propensity":${record.propensity},"prompt_hash":"${record.prompt_hash}"`
  if (record.propensities) line += `,"propensities":${JSON.stringify(record.propensities)}`
  if (record.base_win_rate !== undefined) line += `,"base_win_rate":${record.base_win_rate}`
  if (record.shadow) line += ',"shadow":true'
  if (record.audit) line += ',"audit":true'
  if (record.fallback_reason) line += `,"fallback_reason":${quote(record.fallback_reason)}`
  if (record.session_id !== undefined) line += `,"session_id":${quote(record.session_id)}`
  if (record.text !== undefined) line += `,"text":${quote(record.text)}`
  if (record.embedding !== undefined) line += `,"embedding":"${record.embedding}"`
  return `${line}}`
}

const quote = (text: string): string => JSON.stringify(text)
