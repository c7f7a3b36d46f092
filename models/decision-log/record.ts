import Type from 'typebox'
import type { GatewayRecord } from './gateway-record.ts'

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
