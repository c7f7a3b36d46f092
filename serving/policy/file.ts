import Type from 'typebox'
import type { Budgets } from '../budgets/settings.ts'
import { StrategySettings } from '../strategies/settings.ts'

/** A name that a policy file defines: of a route, a rule, a key. */
export const Name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' })
export const ModelName = Type.String({ minLength: 1, maxLength: 200 })
export const Words = Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })
/** Fields of a request's body: temperature, max_tokens and so on. */
export const Parameters = Type.Record(Type.String(), Type.Unknown())
/** Options of an object that takes no other fields. */
export const closed = { additionalProperties: false } as const

/** The models that answer, and how: a specialist has a system prompt and parameters. */
export const RouteFile = Type.Object(
  {
    description: Type.Optional(Type.String()),
    /** tried in this order */
    models: Type.Array(ModelName, { minItems: 1 }),
    system: Type.Optional(Type.String({ minLength: 1 })),
    parameters: Type.Optional(Parameters),
    allow_down: Type.Optional(Type.Boolean()),
    hedge_after_ms: Type.Optional(Type.Number({ minimum: 1 })),
    deadline_ms: Type.Optional(Type.Number({ minimum: 1 })),
    max_latency_ms: Type.Optional(Type.Number({ minimum: 1 })),
    /** a way of asking the models other than one after the other */
    strategy: Type.Optional(StrategySettings),
  },
  closed,
)
export type RouteFile = Type.Static<typeof RouteFile>

/** Properties of a model for hard limits. Absent ones do not limit: without a context any length is allowed. */
export const ModelFacts = Type.Object(
  {
    /** may see sensitive requests */
    private: Type.Optional(Type.Boolean()),
    /** tokens of prompt and answer together */
    context: Type.Optional(Type.Integer({ minimum: 1 })),
    vision: Type.Optional(Type.Boolean()),
    tools: Type.Optional(Type.Boolean()),
    /** length assumed for an answer, in tokens, if the request has no max_tokens */
    output_tokens: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  closed,
)
export type ModelFacts = Type.Static<typeof ModelFacts>

export const Models = Type.Record(ModelName, ModelFacts)
export const Routes = Type.Record(Name, RouteFile)

export const Keys = Type.Record(
  Name,
  Type.Object({ tier: Type.Optional(Type.String()), models: Type.Optional(Words) }, closed),
)

/** Conditions that make a request sensitive: only private models may then see it. */
export const Privacy = Type.Object(
  {
    tags: Type.Optional(Words),
    /**
     * e-mail addresses, numbers of cards, accounts and telephones, keys: the same that `--log-text redacted`
     * removes
     */
    detect: Type.Optional(Type.Boolean()),
    /** RE2, searched in everything that is sent upstream, in any case */
    patterns: Type.Optional(Words),
    /**
     * a request with images, audio, files, token ids or a reference to content the provider stores: `private`
     * treats it as sensitive, `pass` (default) decides on the readable part
     */
    unreadable: Type.Optional(Type.Union([Type.Literal('pass'), Type.Literal('private')])),
  },
  closed,
)

/** Times that models must usually keep, in milliseconds, unless a request says otherwise. */
export const Latency = Type.Object(
  {
    /** to the first token */
    max_ttft_ms: Type.Optional(Type.Number({ minimum: 1 })),
    /** to the last one */
    max_total_ms: Type.Optional(Type.Number({ minimum: 1 })),
  },
  closed,
)

/** Routes by meaning: each with a description and examples, which are embedded. */
export const SemanticSection = Type.Object(
  {
    /** as in `weir train --encoder`, dense: `use-lite`, `hf:<dir>` */
    encoder: Type.String({ minLength: 1 }),
    /** longest wait for a question's embedding; if it is late the step decides nothing */
    deadline_ms: Type.Optional(Type.Number({ minimum: 1, maximum: 60_000 })),
    routes: Type.Array(
      Type.Object(
        {
          name: Name,
          /** none if only a guardrail asks for it */
          route: Type.Optional(Name),
          description: Type.Optional(Type.String({ minLength: 1 })),
          examples: Type.Array(Type.String({ minLength: 1 }), { minItems: 2 }),
          /** a cosine; fitted to the examples if absent */
          threshold: Type.Optional(Type.Number({ minimum: -1, maximum: 1 })),
        },
        closed,
      ),
      { minItems: 2 },
    ),
    /** prompts that belong to none of the routes, to improve the thresholds */
    none_of_these: Type.Optional(Words),
  },
  closed,
)

export const LearnedSection = Type.Object(
  {
    router: Type.Optional(Type.String({ minLength: 1 })),
    threshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    /** a cascade that checks the weak model's answers, if the weak model was picked */
    strategy: Type.Optional(StrategySettings),
  },
  closed,
)

/**
 * The parts of a policy file (YAML or JSON) that all steps may read. Each step also has a section, whose
 * schema is in the step's file; `policySteps` combines them.
 */
export interface PolicyFile {
  readonly version: 1
  readonly models: Type.Static<typeof Models>
  readonly routes?: Type.Static<typeof Routes>
  readonly keys?: Type.Static<typeof Keys>
  readonly privacy?: Type.Static<typeof Privacy>
  readonly latency?: Type.Static<typeof Latency>
  readonly semantic?: Type.Static<typeof SemanticSection>
  readonly learned?: Type.Static<typeof LearnedSection>
  /** spending limits, in addition to `gateway.budgets` */
  readonly budgets?: Type.Static<typeof Budgets>
  /** the section of a step, by its schema */
  readonly [section: string]: unknown
}
