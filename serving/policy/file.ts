import Type from 'typebox'
import { Budgets } from '../budgets/settings.ts'
import { StrategySettings } from '../strategies/settings.ts'
import { Condition } from './condition.ts'

const Name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' })
const ModelName = Type.String({ minLength: 1, maxLength: 200 })
const Words = Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })
const closed = { additionalProperties: false } as const

const Parameters = Type.Record(Type.String(), Type.Unknown())

/** Who answers, as what: a specialist has a system prompt and parameters of its own. */
export const RouteFile = Type.Object(
  {
    description: Type.Optional(Type.String()),
    /** in the order they are tried */
    models: Type.Array(ModelName, { minItems: 1 }),
    system: Type.Optional(Type.String({ minLength: 1 })),
    parameters: Type.Optional(Parameters),
    allow_down: Type.Optional(Type.Boolean()),
    hedge_after_ms: Type.Optional(Type.Number({ minimum: 1 })),
    deadline_ms: Type.Optional(Type.Number({ minimum: 1 })),
    max_latency_ms: Type.Optional(Type.Number({ minimum: 1 })),
    /** another way of asking the models than one after the other */
    strategy: Type.Optional(StrategySettings),
  },
  closed,
)
export type RouteFile = Type.Static<typeof RouteFile>

/** What a model says where no route fits; no route that it may pick has this name. */
export const NO_ROUTE = 'none'

/** A model that is asked which route a request is for. */
export const DecideByModel = Type.Object(
  {
    model: ModelName,
    /** those it may pick, each with a description; all that have one, where absent */
    routes: Type.Optional(Type.Array(Name, { minItems: 1 })),
    /** what to look at, beside the descriptions */
    instructions: Type.Optional(Type.String({ minLength: 1 })),
    /** of its own request: temperature, max_tokens and so on */
    parameters: Type.Optional(Parameters),
    /** longest wait for it; what is late decides nothing. 3000 unless told */
    timeout_ms: Type.Optional(Type.Number({ minimum: 1, maximum: 60_000 })),
    /** of the conversation that it reads, the last ones; 4000 unless told */
    characters: Type.Optional(Type.Integer({ minimum: 100 })),
    /** conversations whose route is remembered; 10,000 unless told */
    cache: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  closed,
)
export type DecideByModel = Type.Static<typeof DecideByModel>

/** What hard limits know of a model. What is not said is not there: no context given is any context. */
export const ModelFacts = Type.Object(
  {
    /** may see sensitive requests */
    private: Type.Optional(Type.Boolean()),
    /** tokens of prompt and answer together */
    context: Type.Optional(Type.Integer({ minimum: 1 })),
    vision: Type.Optional(Type.Boolean()),
    tools: Type.Optional(Type.Boolean()),
    /** tokens an answer is taken to have where the request has no max_tokens */
    output_tokens: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  closed,
)
export type ModelFacts = Type.Static<typeof ModelFacts>

/** A policy file, YAML or JSON. */
export const PolicyFile = Type.Object(
  {
    version: Type.Literal(1),
    models: Type.Record(ModelName, ModelFacts),
    routes: Type.Optional(Type.Record(Name, RouteFile)),
    keys: Type.Optional(
      Type.Record(
        Name,
        Type.Object({ tier: Type.Optional(Type.String()), models: Type.Optional(Words) }, closed),
      ),
    ),
    privacy: Type.Optional(
      Type.Object(
        {
          tags: Type.Optional(Words),
          /** e-mail addresses, numbers of cards, accounts and telephones, keys: what `--log-text redacted` takes out */
          detect: Type.Optional(Type.Boolean()),
          patterns: Type.Optional(Words),
        },
        closed,
      ),
    ),
    /** refused with a stated message */
    guardrails: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Name,
            when: Type.Optional(Condition),
            /** a semantic route that the last user message must be nearest to */
            near: Type.Optional(Name),
            message: Type.String({ minLength: 1 }),
            as: Type.Optional(Type.Union([Type.Literal('error'), Type.Literal('answer')])),
          },
          closed,
        ),
      ),
    ),
    rules: Type.Optional(
      Type.Array(Type.Object({ name: Name, when: Condition, route: Name }, closed)),
    ),
    /** by meaning: a description and examples each, embedded; served with `learned` or not */
    semantic: Type.Optional(
      Type.Object(
        {
          /** as `weir train --encoder` takes it, dense: `use-lite`, `hf:<dir>` */
          encoder: Type.String({ minLength: 1 }),
          /** longest wait for a question's embedding; what is late decides nothing */
          deadline_ms: Type.Optional(Type.Number({ minimum: 1, maximum: 60_000 })),
          routes: Type.Array(
            Type.Object(
              {
                name: Name,
                /** none where only a guardrail asks for it */
                route: Type.Optional(Name),
                description: Type.Optional(Type.String({ minLength: 1 })),
                examples: Type.Array(Type.String({ minLength: 1 }), { minItems: 2 }),
                /** a cosine; fitted to the examples where absent */
                threshold: Type.Optional(Type.Number({ minimum: -1, maximum: 1 })),
              },
              closed,
            ),
            { minItems: 2 },
          ),
          /** prompts that belong to none of the routes: they sharpen the thresholds */
          none_of_these: Type.Optional(Words),
        },
        closed,
      ),
    ),
    /** a small model picks one of the routes by their descriptions; what it says else decides nothing */
    decide_by_model: Type.Optional(DecideByModel),
    /** the same request is decided as it was, for so long */
    cache: Type.Optional(
      Type.Object(
        {
          minutes: Type.Number({ exclusiveMinimum: 0 }),
          entries: Type.Optional(Type.Integer({ minimum: 1 })),
        },
        closed,
      ),
    ),
    sticky: Type.Optional(
      Type.Object(
        {
          /** a session changes its model only where the win rate is so far from the threshold; 1 never */
          margin: Type.Number({ minimum: 0, maximum: 1 }),
          minutes: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
          sessions: Type.Optional(Type.Integer({ minimum: 1 })),
        },
        closed,
      ),
    ),
    learned: Type.Optional(
      Type.Object(
        {
          router: Type.Optional(Type.String({ minLength: 1 })),
          threshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
          /** a cascade that checks the weak model's answers, where that one was picked */
          strategy: Type.Optional(StrategySettings),
        },
        closed,
      ),
    ),
    /** what may be spent, beside `gateway.budgets` */
    budgets: Type.Optional(Budgets),
    /** the route of everything that no step decided */
    default: Name,
  },
  closed,
)
export type PolicyFile = Type.Static<typeof PolicyFile>
