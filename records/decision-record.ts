import Type from 'typebox'

/** Endpoints at which conversations are answered, which policies and routers decide. */
export const CONVERSATION_ENDPOINTS: ReadonlySet<string> = new Set([
  'chat',
  'responses',
  'messages',
])

/** One call to one upstream, with its outcome. */
export const GatewayAttempt = Type.Object({
  model: Type.String(),
  upstream: Type.String(),
  /** `answered`, `cancelled` or the failure's kind */
  outcome: Type.String(),
  ms: Type.Number(),
  input_tokens: Type.Optional(Type.Number()),
  output_tokens: Type.Optional(Type.Number()),
  /** of the input tokens, those that the provider read from its cache */
  cached_input_tokens: Type.Optional(Type.Number()),
  cost_usd: Type.Optional(Type.Number()),
})
export type GatewayAttempt = Type.Static<typeof GatewayAttempt>

/**
 * One request that the gateway finished: the planned models and why, the model that answered, its time and
 * cost.
 */
export const GatewayRecord = Type.Object({
  object: Type.Literal('gateway'),
  /** `x-weir-id` of the response, which feedback may use */
  id: Type.String(),
  /** when the request arrived, in milliseconds since 1970 */
  time: Type.Number(),
  /** `chat`, `responses`, `embeddings`, or the first part of another path, such as `audio` */
  endpoint: Type.String(),
  /** name of the API key */
  key: Type.String(),
  /** the model that the client requested */
  asked: Type.String(),
  /**
   * the step that decided (`none` if the request failed before that), its reason, and the name of the rule or
   * route
   */
  step: Type.String(),
  reason: Type.String(),
  rule: Type.Optional(Type.String()),
  /** the policy file that decided; hash: the first 12 hex digits of its text's SHA-256 */
  policy: Type.Optional(Type.Object({ name: Type.String(), hash: Type.String() })),
  /** notes from the policy, such as the state of a budget */
  notes: Type.Optional(Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]))),
  /** `single`, `cascade` and so on; `refuse` if the policy refused */
  strategy: Type.String(),
  /** models in the order to try them */
  targets: Type.Array(Type.String()),
  /** the model that answered; null if none did */
  model: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  upstream: Type.Optional(Type.String()),
  /** the first target, if it failed and another model answered */
  failover_from: Type.Optional(Type.String()),
  /** probability that this request was assigned the first target */
  propensity: Type.Number(),
  /** the learned router's decision, if it took part; it is a separate `decision` line */
  decision_id: Type.Optional(Type.String()),
  win_rate: Type.Optional(Type.Unsafe<number | null>({ type: ['number', 'null'] })),
  threshold: Type.Optional(Type.Number()),
  attempts: Type.Array(GatewayAttempt),
  /** US dollars of all attempts; absent if a price or a count is unknown */
  cost_usd: Type.Optional(Type.Number()),
  /** saving relative to the most expensive model it could have gone to */
  saved_usd: Type.Optional(Type.Number()),
  ms: Type.Number(),
  first_byte_ms: Type.Optional(Type.Number()),
  status: Type.Integer(),
  code: Type.Optional(Type.String()),
  /** results of a strategy's checks on its answers; their thresholds can be fitted to these */
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
  /** set by the client */
  asked_threshold: Type.Optional(Type.Number()),
  previous_model: Type.Optional(Type.String()),
  /** the request's allow-list */
  models: Type.Optional(Type.Array(Type.String())),
  /** characters of the conversation, including tool definitions */
  characters: Type.Optional(Type.Integer()),
  /** maximum answer tokens requested by the client */
  max_tokens: Type.Optional(Type.Number()),
  images: Type.Optional(Type.Literal(true)),
  tools: Type.Optional(Type.Literal(true)),
  /** results of tools came last, not a person's message */
  tool_result: Type.Optional(Type.Literal(true)),
  /** only if enabled by `log.metadata` */
  metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  tags: Type.Optional(Type.Array(Type.String())),
  /** which of `metadata`, `tags`, `text` and `question` were too long and are not whole here */
  cut: Type.Optional(Type.Array(Type.String())),
  /** only if enabled by `log.text`: the text used for routing, if no decision line contains it */
  text: Type.Optional(Type.String()),
  /** the last user message, if it differs from the text */
  question: Type.Optional(Type.String()),
})
export type GatewayRecord = Type.Static<typeof GatewayRecord>

/**
 * Lines of a decision log. Every segment file starts with a `log` line that describes what the following
 * lines contain, so that a command that needs more can name the setting.
 */
export const LogHeader = Type.Object({
  object: Type.Literal('log'),
  format: Type.Literal(1),
  created: Type.String(),
  /** `none` (the hash only), `redacted` or `full` */
  text: Type.Union([Type.Literal('none'), Type.Literal('redacted'), Type.Literal('full')]),
  embedding: Type.Boolean(),
  /** for gateway requests: the fields that rules read besides the text */
  metadata: Type.Optional(Type.Boolean()),
})
export type LogHeader = Type.Static<typeof LogHeader>

/** One decision as returned (or, if `shadow`, as it would have been). */
export const DecisionRecord = Type.Object({
  object: Type.Literal('decision'),
  id: Type.String(),
  /** milliseconds since 1970 */
  time: Type.Number(),
  router: Type.String(),
  version: Type.String(),
  model: Type.String(),
  /** null if the router did not answer and had no fallback head */
  win_rate: Type.Unsafe<number | null>({ type: ['number', 'null'] }),
  /** the router's own win rate, if online updates corrected it */
  base_win_rate: Type.Optional(Type.Number()),
  threshold: Type.Number(),
  reason: Type.String(),
  /** probability that this request was assigned this model */
  propensity: Type.Number(),
  prompt_hash: Type.String(),
  /** expected quality by model, if a rule chose among several, and that rule */
  scores: Type.Optional(Type.Record(Type.String(), Type.Number())),
  choice: Type.Optional(
    Type.Object({
      kind: Type.Union([Type.Literal('best-value'), Type.Literal('cheapest-within')]),
      lambda: Type.Optional(Type.Number()),
      loss: Type.Optional(Type.Number()),
    }),
  ),
  /** the other candidates with their propensities, if the choice was random */
  propensities: Type.Optional(Type.Record(Type.String(), Type.Number())),
  shadow: Type.Optional(Type.Literal(true)),
  /** both models were requested */
  audit: Type.Optional(Type.Literal(true)),
  fallback_reason: Type.Optional(Type.String()),
  session_id: Type.Optional(Type.String()),
  text: Type.Optional(Type.String()),
  /** the text was too long: it is the beginning and the end. `prompt_hash` is that of the whole */
  cut: Type.Optional(Type.Array(Type.Literal('text'))),
  /** base64 of little-endian float32, dense */
  embedding: Type.Optional(Type.String()),
})
export type DecisionRecord = Type.Static<typeof DecisionRecord>

/** The outcome of a decision: a score for the model that answered, by decision id. */
export const Feedback = Type.Object(
  {
    decision_id: Type.String({ minLength: 1, maxLength: 200 }),
    /** how good the answer was, 0 to 1 */
    score: Type.Number({ minimum: 0, maximum: 1 }),
    /** the model that answered, if it was not the decision's */
    model: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    /** the source of the score, such as `user`, `judge` or a metric's name */
    source: Type.Optional(Type.String({ maxLength: 200 })),
    /** how much the score counts where an answer has several, from 0 to 1; 1 by default */
    weight: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
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
  /** when it was given, milliseconds since 1970 */
  time: Type.Number(),
  /** how the score was given, if not as a score: thumbs, preference, correction, verdict */
  kind: Type.Optional(Type.String()),
  /** the other model of a preference, or the one that made the correction */
  against: Type.Optional(Type.String()),
  /** name of the API key that gave it; absent from a server without keys, and in logs before 0.2 */
  key: Type.Optional(Type.String()),
  /** the key may rate every key's decisions (`feedback: any`), so its weight is not limited */
  role: Type.Optional(Type.Literal('any')),
  /** probability that this model was asked beside the one that answered, where chance decided (shadow answers) */
  propensity: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
})
export type FeedbackRecord = Type.Static<typeof FeedbackRecord>

/**
 * What the next request of its session says of an answer, or its own end: a weak outcome, whose reliability is measured
 * against feedback where the log is read. Without signs, the session went on as sessions do.
 */
export const SignalRecord = Type.Object({
  object: Type.Literal('signal'),
  /** `x-weir-id` of the response that had the answer */
  decision_id: Type.String(),
  /** when it was seen, in milliseconds since 1970 */
  time: Type.Number(),
  /** the model that answered */
  model: Type.String(),
  /** such as `correction`; empty if there were none */
  signs: Type.Array(Type.String()),
  /** name of the API key */
  key: Type.String(),
  session_id: Type.Optional(Type.String()),
})
export type SignalRecord = Type.Static<typeof SignalRecord>

export type LogRecord = LogHeader | DecisionRecord | GatewayRecord | FeedbackRecord | SignalRecord

/** The request data that a segment's lines contain. */
export type LogContents = Omit<LogHeader, 'object' | 'format' | 'created'>

/**
 * A decision record as one line of JSON. Built by hand because it is written for every request: only fields
 * that may contain arbitrary text go through JSON.stringify. Numbers are finite by contract.
 */
export function decisionLine(record: DecisionRecord): string {
  let line = `{"object":"decision","id":${quote(record.id)},"time":${record.time},"router":${quote(record.router)},"version":${quote(record.version)},"model":${quote(record.model)},"win_rate":${record.win_rate},"threshold":${record.threshold},"reason":"${record.reason}","propensity":${record.propensity},"prompt_hash":"${record.prompt_hash}"`
  if (record.propensities) line += `,"propensities":${JSON.stringify(record.propensities)}`
  if (record.choice) {
    line += `,"scores":${JSON.stringify(record.scores)},"choice":${JSON.stringify(record.choice)}`
  }
  if (record.base_win_rate !== undefined) line += `,"base_win_rate":${record.base_win_rate}`
  if (record.shadow) line += ',"shadow":true'
  if (record.audit) line += ',"audit":true'
  if (record.fallback_reason) line += `,"fallback_reason":${quote(record.fallback_reason)}`
  if (record.session_id !== undefined) line += `,"session_id":${quote(record.session_id)}`
  if (record.text !== undefined) line += `,"text":${quote(record.text)}`
  if (record.cut) line += `,"cut":${JSON.stringify(record.cut)}`
  if (record.embedding !== undefined) line += `,"embedding":"${record.embedding}"`
  return `${line}}`
}

const quote = (text: string): string => JSON.stringify(text)
