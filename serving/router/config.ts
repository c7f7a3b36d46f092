import Type from 'typebox'
import { OodRule } from '../../models/bundle/ood-rule.ts'
import { PublicKey } from '../../models/bundle/signature.ts'
import { Exploration } from '../../models/online/exploration.ts'
import { CONTEXT_VALUE_LIMIT } from '../../models/reading/transcript.ts'

/** A linear head on each router's win rates that learns from `POST /feedback`. Off if absent. */
export const Online = Type.Object(
  {
    /** folder of the states: `<folder>/<router>/<version>/NNNNNNNN.json`; used by one server only */
    folder: Type.String({ minLength: 1 }),
    /**
     * `thompson` (default): strong with the probability that it is worth its cost; `ucb`: strong where it may
     * well be
     */
    policy: Type.Optional(Type.Union([Type.Literal('thompson'), Type.Literal('ucb')])),
    /** US dollars that a thousand requests of each router may cost; no budget if absent */
    budget_usd_per_1000: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    /** dimensions that the embedding is reduced to (default 32) */
    features: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
    /** weight of the router's prediction, in outcomes, along every direction (default 100) */
    prior_rows: Type.Optional(Type.Number({ minimum: 1 })),
    /** factor on an outcome's weight with each later outcome (default .9995: about 2,000 are remembered) */
    forgetting: Type.Optional(Type.Number({ minimum: 0.9, maximum: 1 })),
    /** largest change of a model's coefficients by 32 outcomes (default .2) */
    max_step: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 10 })),
    /** optimism of `ucb`, in standard deviations (default 1) */
    width: Type.Optional(Type.Number({ minimum: 0, maximum: 10 })),
    /** outcomes between saved states, each of which can be reverted (default 256) */
    keep_every: Type.Optional(Type.Integer({ minimum: 1 })),
    /** decisions remembered until their feedback arrives (default 50,000) */
    remembered: Type.Optional(Type.Integer({ minimum: 100 })),
  },
  { additionalProperties: false },
)
export type Online = Type.Static<typeof Online>

const Name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' })

const ContextName = Type.String({ pattern: '^[^\\s,:=]{1,100}$' })

/** The fields of a server's configuration that define which routers decide, for which keys, and how. */
export const ROUTING = {
  /** may be empty beside a `gateway`, which then decides by rules, names and shares alone */
  routers: Type.Array(
    Type.Object(
      {
        /**
         * a bundle's NAME folder (its current version) or the folder of one version; or where it is kept:
         * `oci://registry/repository:tag`, `https://host/path/NAME` or `s3://bucket/prefix/NAME`, each with or without
         * `@sha256:...`
         */
        path: Type.String({ minLength: 1 }),
        /** the variable with the key for that place: a registry's `user:password`, or a web server's bearer token */
        key_env: Type.Optional(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' })),
        /** JSONL of prompts with the model each must be routed to; a new version that fails one is refused */
        golden: Type.Optional(Type.String()),
      },
      { additionalProperties: false },
    ),
  ),
  /** public keys (`ed25519:...`) of which one must have signed every bundle; a bundle without is refused */
  require_signature: Type.Optional(Type.Array(PublicKey, { minItems: 1 })),
  /** folder for bundles that are kept elsewhere (default `bundles` in WEIR_CACHE, else in ~/.cache/weir) */
  bundle_cache: Type.Optional(Type.String({ minLength: 1 })),
  /** seconds between questions whether a tag or a `current` elsewhere has moved, with --watch (default 30) */
  bundle_refresh_seconds: Type.Optional(Type.Number({ minimum: 1 })),
  /** the router for `default` and for requests that name no router; if absent, the first router */
  default: Type.Optional(Name),
  aliases: Type.Optional(Type.Record(Name, Name)),
  /** a name that stands for several routers, each with its share of the sessions */
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
  /** routers that decide in parallel with another one; logged, but never used for answers */
  shadows: Type.Optional(
    Type.Array(Type.Object({ of: Name, router: Name }, { additionalProperties: false })),
  ),
  /** try the other model now and then, with a known probability; off if absent */
  exploration: Type.Optional(Exploration),
  /** correct win rates by feedback, within a budget; off if absent */
  online: Type.Optional(Online),
  /** what happens to prompts that are unlike a router's training prompts; wins over what its bundle says */
  ood: Type.Optional(OodRule),
  /** scores cached per router version, by prompt; 0 caches none */
  cache_entries: Type.Optional(Type.Integer({ minimum: 0 })),
  /** declared context: what requests say of where they are from, in `metadata` or the header `x-weir-context` */
  context: Type.Optional(
    Type.Object(
      {
        /** keys that are logged with the text even if no router reads them yet, so that the next one can learn them */
        keys: Type.Optional(Type.Array(ContextName, { maxItems: 50 })),
        /** keys that only an API key's `context` can set: what a request says of them is ignored */
        trusted: Type.Optional(Type.Array(ContextName, { maxItems: 50 })),
      },
      { additionalProperties: false },
    ),
  ),
  keys: Type.Optional(
    Type.Array(
      Type.Object(
        {
          name: Name,
          /** SHA-256 of the key, in hex: the key itself is not stored on the server */
          sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
          routers: Type.Optional(Type.Array(Name, { minItems: 1 })),
          /** models that a key limited to some routers may name all the same, such as embeddings */
          models: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })),
          rate_per_minute: Type.Optional(Type.Integer({ minimum: 1 })),
          /** declared context of all its requests, such as its tenant; it wins over what a request says */
          context: Type.Optional(
            Type.Record(
              ContextName,
              Type.Union([
                Type.String({ minLength: 1, maxLength: CONTEXT_VALUE_LIMIT }),
                Type.Number(),
                Type.Boolean(),
              ]),
              { additionalProperties: false },
            ),
          ),
          /**
           * what its holder may do in the console (`weir serve --console`): look, also change what serves, or also approve;
           * a key without it cannot sign in there
           */
          console: Type.Optional(
            Type.Union([
              Type.Literal('viewer'),
              Type.Literal('operator'),
              Type.Literal('approver'),
            ]),
          ),
          /** the decisions it may give feedback on: only its own (default), or any key's, as for a judge */
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
export const DEFAULT_BUNDLE_REFRESH_SECONDS = 30
