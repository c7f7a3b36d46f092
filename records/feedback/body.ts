import Type from 'typebox'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import type { FeedbackRecord } from '../decision-record.ts'

const Name = Type.String({ minLength: 1, maxLength: 200 })
const Open = { additionalProperties: false } as const

/** The body of `POST /feedback`: exactly one of score, thumbs, preference, correction and verdict. */
export const FeedbackBody = Type.Object(
  {
    decision_id: Name,
    /** how good the answer was, 0 to 1 */
    score: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    thumbs: Type.Optional(Type.Union([Type.Literal('up'), Type.Literal('down')])),
    /** this answer compared with another model's */
    preference: Type.Optional(
      Type.Object(
        {
          over: Name,
          winner: Type.Union([
            Type.Literal('this'),
            Type.Literal('other'),
            Type.Literal('tie'),
            Type.Literal('both_bad'),
          ]),
        },
        Open,
      ),
    ),
    /** the answer had to be corrected; by which model, if a model did it */
    correction: Type.Optional(Type.Object({ by: Type.Optional(Name) }, Open)),
    /** a judge's verdict */
    verdict: Type.Optional(
      Type.Union([Type.Literal('pass'), Type.Literal('partial'), Type.Literal('fail')]),
    ),
    /** the model that answered, if it was not the decision's */
    model: Type.Optional(Name),
    /** the source, such as `user`, `judge` or a metric's name; its latest rating counts */
    source: Type.Optional(Type.String({ maxLength: 200 })),
    /**
     * when it was given, in milliseconds since 1970; default now. A late delivery never overrules a later
     * rating.
     */
    time: Type.Optional(Type.Number({ minimum: 0 })),
    /** how much the score counts where an answer has several, from 0 to 1; 1 by default */
    weight: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
    cost_usd: Type.Optional(Type.Number({ minimum: 0 })),
    latency_ms: Type.Optional(Type.Number({ minimum: 0 })),
    input_tokens: Type.Optional(Type.Integer({ minimum: 0 })),
    output_tokens: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  Open,
)
export type FeedbackBody = Type.Static<typeof FeedbackBody>

/** How far a caller's clock may be ahead, in milliseconds. */
const CLOCK_SKEW_MS = 60_000

const KINDS = ['score', 'thumbs', 'preference', 'correction', 'verdict'] as const
const VERDICTS = { pass: 1, partial: 0.5, fail: 0 } as const
const WINNERS = { this: 1, tie: 0.5, both_bad: 0.5, other: 0 } as const

/**
 * Converts a body to the stored record: whatever its kind, a score of the model that answered.
 *
 * @param now milliseconds since 1970
 * @throws request_invalid if it has no rating, or more than one
 */
export function feedbackRecord(body: FeedbackBody, now: number): FeedbackRecord {
  const kinds = KINDS.filter((kind) => body[kind] !== undefined)
  const [kind] = kinds
  if (kind === undefined || kinds.length > 1) {
    throw new WeirError(
      'request_invalid',
      {
        where: kind ?? 'score',
        expected: `one of ${KINDS.join(', ')}`,
        got: kinds.join(' and ') || 'none',
      },
      { param: kind ?? 'score' },
    )
  }
  if (body.time !== undefined && body.time > now + CLOCK_SKEW_MS) {
    const expected = `a time in the past (now ${now})`
    throw new WeirError(
      'request_invalid',
      { where: 'time', expected, got: body.time },
      { param: 'time' },
    )
  }
  const { thumbs: _, preference, correction, verdict: __, score: ___, time, ...rest } = body
  const against = preference?.over ?? correction?.by
  return {
    object: 'feedback',
    ...rest,
    score: scoreOf(body),
    time: time ?? now,
    ...definedOnly({ kind: kind === 'score' ? undefined : kind, against }),
  }
}

function scoreOf({ score, thumbs, preference, verdict }: FeedbackBody): number {
  if (score !== undefined) return score
  if (thumbs) return thumbs === 'up' ? 1 : 0
  if (preference) return WINNERS[preference.winner]
  // a correction means that the answer was not acceptable
  return verdict ? VERDICTS[verdict] : 0
}
