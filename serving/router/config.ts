import Type from 'typebox'
import { Exploration } from '../../models/online/exploration.ts'

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

const Name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' })

/** The fields of a server's configuration that say which routers decide, for whom, and how. */
export const ROUTING = {
  routers: Type.Array(
    Type.Object(
      {
        /** a bundle's NAME folder (its current version) or one version's */
        path: Type.String({ minLength: 1 }),
        /** JSONL of prompts with the model they must go to; a new version that fails one is refused */
        golden: Type.Optional(Type.String()),
      },
      { additionalProperties: false },
    ),
    { minItems: 1 },
  ),
  /** what `default`, and a request that names no router, means; else the first router */
  default: Type.Optional(Name),
  aliases: Type.Optional(Type.Record(Name, Name)),
  /** a name that stands for several routers, each getting its share of the sessions */
  splits: Type.Optional(
    Type.Record(
      Name,
      Type.Array(
        Type.Object(
          { router: Name, weight: Type.Number({ exclusiveMinimum: 0 }) },
          { additionalProperties: false },
        ),
        { minItems: 2 },
      ),
    ),
  ),
  /** routers that decide beside another one and are logged, never answered with */
  shadows: Type.Optional(
    Type.Array(Type.Object({ of: Name, router: Name }, { additionalProperties: false })),
  ),
  /** try the other model now and then, with a known probability; off where absent */
  exploration: Type.Optional(Exploration),
  /** correct win rates by what feedback says, within a budget; off where absent */
  online: Type.Optional(Online),
  /** scores kept a router version, by prompt; 0 keeps none */
  cache_entries: Type.Optional(Type.Integer({ minimum: 0 })),
  keys: Type.Optional(
    Type.Array(
      Type.Object(
        {
          name: Name,
          /** SHA-256 of the key, in hex: the key itself is nowhere on the server */
          sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
          routers: Type.Optional(Type.Array(Name, { minItems: 1 })),
          rate_per_minute: Type.Optional(Type.Integer({ minimum: 1 })),
          /** whose decisions it may give feedback on: its own (default), or any key's, as a judge does */
          feedback: Type.Optional(Type.Union([Type.Literal('own'), Type.Literal('any')])),
        },
        { additionalProperties: false },
      ),
    ),
  ),
}

const Routing = Type.Object(ROUTING)
export type Routing = Type.Static<typeof Routing>

export const DEFAULT_FEATURES = 32
export const DEFAULT_PRIOR_ROWS = 100
export const DEFAULT_FORGETTING = 0.9995
export const DEFAULT_MAX_STEP = 0.2
export const DEFAULT_WIDTH = 1
export const DEFAULT_KEEP_EVERY = 256
export const DEFAULT_REMEMBERED = 50_000
export const DEFAULT_CACHE_ENTRIES = 4096
