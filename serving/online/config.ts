import Type from 'typebox'

/** A linear head over each router's win rates that learns from `POST /feedback`. Off where absent. */
export const Online = Type.Object(
  {
    /** where states are kept: `<folder>/<router>/<version>/NNNNNNNN.json`; one server a folder */
    folder: Type.String({ minLength: 1 }),
    /** `thompson` (default): strong with the probability that it is worth it; `ucb`: where it may well be */
    policy: Type.Optional(Type.Union([Type.Literal('thompson'), Type.Literal('ucb')])),
    /** US dollars a thousand requests of each router may cost; no budget where absent */
    budget_usd_per_1000: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    /** numbers the embedding is sketched into (default 32) */
    features: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
    /** outcomes that the router's own prediction counts for, along every direction (default 100) */
    prior_rows: Type.Optional(Type.Number({ minimum: 1 })),
    /** weight of an outcome one outcome later (default .9995: about 2,000 are remembered) */
    forgetting: Type.Optional(Type.Number({ minimum: 0.9, maximum: 1 })),
    /** most that 32 outcomes may move a model's coefficients (default .2) */
    max_step: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 10 })),
    /** standard deviations of optimism of `ucb` (default 1) */
    width: Type.Optional(Type.Number({ minimum: 0, maximum: 10 })),
    /** outcomes between kept states, each of which can be taken back (default 256) */
    keep_every: Type.Optional(Type.Integer({ minimum: 1 })),
    /** decisions remembered until their feedback comes (default 50,000) */
    remembered: Type.Optional(Type.Integer({ minimum: 100 })),
  },
  { additionalProperties: false },
)
export type Online = Type.Static<typeof Online>

export const DEFAULT_FEATURES = 32
export const DEFAULT_PRIOR_ROWS = 100
export const DEFAULT_FORGETTING = 0.9995
export const DEFAULT_MAX_STEP = 0.2
export const DEFAULT_WIDTH = 1
export const DEFAULT_KEEP_EVERY = 256
export const DEFAULT_REMEMBERED = 50_000
