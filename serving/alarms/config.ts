import Type from 'typebox'

/** What is watched and who is told. Absent: nothing is. */
export const Alarms = Type.Object(
  {
    /** values between false alarms of each alarm, on average at least (default 10,000) */
    run_length: Type.Optional(Type.Integer({ minimum: 100 })),
    /** decisions from which win rates, embeddings, strong share and cost learn what is usual (default 2,000) */
    reference_rows: Type.Optional(Type.Integer({ minimum: 200 })),
    /** mean score of feedback while all is well; without it quality is not watched */
    quality: Type.Optional(
      Type.Object(
        {
          reference: Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1 }),
          /** rows the reference was measured on */
          rows: Type.Optional(Type.Integer({ minimum: 1 })),
          /** fall that should be noticed soonest (default .05) */
          shift: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 0.5 })),
          /** the model whose answers are watched; all, where absent */
          model: Type.Optional(Type.String({ minLength: 1 })),
        },
        { additionalProperties: false },
      ),
    ),
    /** gets each alarm as JSON by POST */
    webhook: Type.Optional(Type.String({ pattern: '^https?://' })),
    /** a fall of quality takes back a shadow, a canary or the last promotion */
    rollback: Type.Optional(Type.Boolean()),
    /** decisions of the version with feedback, below which nothing is taken back (default 10) */
    rollback_decisions: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
)
export type Alarms = Type.Static<typeof Alarms>

export const DEFAULT_RUN_LENGTH = 10_000
export const DEFAULT_REFERENCE_ROWS = 2000
export const DEFAULT_ROLLBACK_DECISIONS = 10
export const DEFAULT_SHIFT = 0.05
