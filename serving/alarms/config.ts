import Type from 'typebox'

/** What is watched and who is notified. If absent, nothing is watched. */
export const Alarms = Type.Object(
  {
    /** values between false alarms per alarm, on average at least (default 10,000) */
    run_length: Type.Optional(Type.Integer({ minimum: 100 })),
    /** decisions used as the reference for win rates, embeddings, strong share and cost (default 2,000) */
    reference_rows: Type.Optional(Type.Integer({ minimum: 200 })),
    /** mean feedback score in normal operation; without it quality is not watched */
    quality: Type.Optional(
      Type.Object(
        {
          reference: Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1 }),
          /** rows the reference was measured on */
          rows: Type.Optional(Type.Integer({ minimum: 1 })),
          /** fall to be detected soonest (default .05) */
          shift: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 0.5 })),
          /** the model whose answers are watched; all if absent */
          model: Type.Optional(Type.String({ minLength: 1 })),
        },
        { additionalProperties: false },
      ),
    ),
    /** receives each alarm as JSON by POST */
    webhook: Type.Optional(Type.String({ pattern: '^https?://' })),
    /** a fall of quality reverts a shadow, a canary or the last promotion */
    rollback: Type.Optional(Type.Boolean()),
    /** rated decisions of the version that a rollback requires (default 10) */
    rollback_decisions: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
)
export type Alarms = Type.Static<typeof Alarms>

export const DEFAULT_RUN_LENGTH = 10_000
export const DEFAULT_REFERENCE_ROWS = 2000
export const DEFAULT_ROLLBACK_DECISIONS = 10
export const DEFAULT_SHIFT = 0.05
