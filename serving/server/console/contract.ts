import Type, { type Static, type TObject, type TSchema } from 'typebox'
import { CostQuality } from '../../../models/bundle/manifest.ts'
import { Decision, RouteRequest } from '../../../models/decision/decision.ts'
import { HEALTH_ENDPOINTS, MONEY_ENDPOINTS } from './view-contracts.ts'

/** What a person may do in the console; each role may also do what those before it may. */
export const ROLES = ['viewer', 'operator', 'approver'] as const
export type Role = (typeof ROLES)[number]
export const Role = Type.Unsafe<Role>(Type.Union(ROLES.map((role) => Type.Literal(role))))

export const mayAct = (role: Role, needed: Role): boolean =>
  ROLES.indexOf(role) >= ROLES.indexOf(needed)

/** One endpoint of the console: `GET /console/api/NAME` if it reads, `POST` if it has a body. */
export interface Endpoint {
  readonly summary: string
  readonly role: Role
  /** numbers and booleans are read from the query's text */
  readonly query?: TObject
  readonly body?: TSchema
  readonly answer: TSchema
}

const Nullable = <T extends TSchema>(type: T) => Type.Union([type, Type.Null()])
const closed = { additionalProperties: false }

/** Win rates of decisions since the start, in equal bins from 0 to 1. Columns have equal length. */
const Spread = Type.Object({
  counts: Type.Array(Type.Integer()),
  /** of the decisions, those with a known cost of both models; their estimated US dollars by bin */
  priced: Type.Integer(),
  strong_usd: Type.Array(Type.Number()),
  weak_usd: Type.Array(Type.Number()),
})
export type Spread = Static<typeof Spread>

const Router = Type.Object({
  name: Type.String(),
  version: Type.String(),
  threshold: Type.Number(),
  calibrated: Type.Boolean(),
  strong: Type.String(),
  weak: Type.String(),
  models: Type.Array(Type.String()),
  spread: Spread,
  /** keys of declared context that it reads, such as `tenant` */
  context: Type.Array(Type.String()),
})

/** One second or minute of traffic. */
const Tick = Type.Object({
  /** its start, milliseconds since 1970 */
  time: Type.Number(),
  decisions: Type.Integer(),
  /** of the decisions, those for the strong model */
  strong: Type.Integer(),
  /** requests that the gateway finished */
  requests: Type.Integer(),
  errors: Type.Integer(),
  fallbacks: Type.Integer(),
  cost_usd: Type.Number(),
  saved_usd: Type.Number(),
  /** sum of our decisions' milliseconds, and of requests' milliseconds in upstreams */
  decision_ms: Type.Number(),
  upstream_ms: Type.Number(),
})
export type Tick = Static<typeof Tick>

/** A decision or a request of the gateway, in one row. */
export const TrafficRow = Type.Object({
  id: Type.String(),
  /** grows with every new or changed row: a reader asks for rows after the last it has */
  seq: Type.Integer(),
  time: Type.Number(),
  /** `route`: a decision alone; else the endpoint: `chat`, `messages`, ... */
  endpoint: Type.String(),
  key: Nullable(Type.String()),
  router: Nullable(Type.String()),
  version: Nullable(Type.String()),
  /** the model that answered or was decided for; null if none did */
  model: Nullable(Type.String()),
  win_rate: Nullable(Type.Number()),
  threshold: Nullable(Type.Number()),
  step: Type.String(),
  reason: Type.String(),
  rule: Nullable(Type.String()),
  /** what sets it apart: error, fallback, failover, explored, shadow, audit, truncated */
  flags: Type.Array(Type.String()),
  decision_ms: Nullable(Type.Number()),
  ms: Nullable(Type.Number()),
  first_byte_ms: Nullable(Type.Number()),
  cost_usd: Nullable(Type.Number()),
  saved_usd: Nullable(Type.Number()),
  status: Nullable(Type.Integer()),
  code: Nullable(Type.String()),
  session: Nullable(Type.String()),
  trace: Nullable(Type.String()),
  propensity: Type.Number(),
  /** the start of the prompt, if the log keeps texts */
  text: Nullable(Type.String()),
  prompt_hash: Nullable(Type.String()),
  attempts: Type.Array(
    Type.Object({
      model: Type.String(),
      upstream: Type.String(),
      outcome: Type.String(),
      ms: Type.Number(),
      cost_usd: Nullable(Type.Number()),
    }),
  ),
  checks: Type.Array(
    Type.Object({
      check: Type.String(),
      model: Type.String(),
      score: Nullable(Type.Number()),
      passed: Type.Boolean(),
    }),
  ),
})
export type TrafficRow = Static<typeof TrafficRow>

/** The policy's word on a playground request. */
const PolicyPreview = Type.Object({
  name: Type.String(),
  hash: Type.String(),
  /** whether a model’s answer could still change it */
  certain: Type.Boolean(),
  kind: Type.Union([Type.Literal('serve'), Type.Literal('refuse')]),
  models: Type.Array(Type.String()),
  strategy: Type.String(),
  step: Type.String(),
  reason: Type.String(),
  rule: Nullable(Type.String()),
  message: Nullable(Type.String()),
  steps: Type.Array(
    Type.Object({
      step: Type.String(),
      matched: Type.Boolean(),
      name: Nullable(Type.String()),
      reason: Nullable(Type.String()),
    }),
  ),
})

/** A child process of `weir console`: a training run, with the evaluation after it. */
const Job = Type.Object({
  id: Type.String(),
  name: Type.String(),
  state: Type.Union([
    Type.Literal('running'),
    Type.Literal('done'),
    Type.Literal('failed'),
    Type.Literal('stopped'),
  ]),
  /** the commands, as a user would type them */
  commands: Type.Array(Type.String()),
  /** the last lines that they printed */
  lines: Type.Array(Type.String()),
  /** the bundle, when it is written */
  bundle: Nullable(Type.String()),
  /** a report is at `/console/report/ID` */
  report: Type.Boolean(),
  started: Type.Number(),
})
export type Job = Static<typeof Job>

/** A file’s name without a folder. */
const FileName = Type.String({ pattern: '^[A-Za-z0-9_][A-Za-z0-9._ -]{0,120}$' })
const ModelName = Type.String({ minLength: 1, maxLength: 500 })

/**
 * Every endpoint of the console, by name. The server's routes, their checks, the admin port's /openapi.json and the client's
 * types come from this table. A server answers those that it has handlers for, and a session lists them.
 */
export const ENDPOINTS = {
  overview: {
    summary: 'What serves, and its traffic in seconds and minutes.',
    role: 'viewer',
    answer: Type.Object({
      now: Type.Number(),
      started: Type.Number(),
      routers: Type.Array(Router),
      /** names of the gateway's models; empty without a gateway */
      models: Type.Array(Type.String()),
      policies: Type.Array(Type.Object({ name: Type.String(), hash: Type.String() })),
      totals: Type.Omit(Tick, ['time']),
      /** the last two minutes, oldest first; seconds without traffic are left out */
      seconds: Type.Array(Tick),
      /** the last day */
      minutes: Type.Array(Tick),
      /** whether rows carry the start of prompts, as the log's `text` says */
      texts: Type.Boolean(),
    }),
  },
  decisions: {
    summary:
      'Rows of recent decisions after a sequence number, oldest first: a sample where there are more than the server keeps a second, errors and fallbacks before others.',
    role: 'viewer',
    query: Type.Object(
      {
        after: Type.Optional(Type.Integer({ minimum: 0 })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
      },
      closed,
    ),
    answer: Type.Object({
      rows: Type.Array(TrafficRow),
      /** since the start, sampled or not */
      seen: Type.Integer(),
      next: Type.Integer(),
      /** more rows are there now */
      more: Type.Boolean(),
    }),
  },
  rate: {
    summary: 'Rates the answer of a decision, in the name of who asks: it counts as feedback does.',
    role: 'operator',
    body: Type.Object(
      {
        decision_id: Type.String({ minLength: 1, maxLength: 200 }),
        /** how good the answer was, 0 to 1 */
        score: Type.Number({ minimum: 0, maximum: 1 }),
        /** the model that answered, if it was not the decision's */
        model: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
      },
      closed,
    ),
    answer: Type.Object({ decision_id: Type.String(), score: Type.Number() }),
  },
  playground: {
    summary:
      'What would be decided for a request, and why. Nothing is logged, counted or asked of a model.',
    role: 'viewer',
    body: Type.Object(
      {
        request: RouteRequest,
        /** preview this text of a policy instead of what serves; needs an operator */
        policy: Type.Optional(Type.String({ maxLength: 1_000_000 })),
      },
      closed,
    ),
    answer: Type.Object({
      decision: Type.Optional(Decision),
      policy: Type.Optional(PolicyPreview),
      /** why there is no word of the policy */
      policy_error: Type.Optional(Type.String()),
    }),
  },
  curve: {
    summary:
      'The cost-quality curve of a router on its test prompts, its certificate, and the win rates of its traffic.',
    role: 'viewer',
    query: Type.Object({ router: Type.Optional(Type.String({ maxLength: 200 })) }, closed),
    answer: Type.Object({
      now: Type.Number(),
      started: Type.Number(),
      router: Router,
      /** what the policy sets over the router’s own threshold; null if nothing */
      policy_threshold: Nullable(Type.Number()),
      /** null for a bundle that was made before curves were kept */
      curve: Nullable(CostQuality),
      /** what the threshold’s calibration promises; null without one */
      certificate: Nullable(Type.Record(Type.String(), Type.Unknown())),
      created: Type.String(),
      /** why no threshold can be proposed here; null if one can */
      no_proposals: Nullable(Type.String()),
    }),
  },
  propose_threshold: {
    summary:
      'Proposes a threshold: a policy with another `learned.threshold`, which somebody else must approve before it can serve.',
    role: 'operator',
    body: Type.Object(
      {
        router: Type.String({ maxLength: 200 }),
        threshold: Type.Number({ minimum: 0, maximum: 1 }),
        note: Type.Optional(Type.String({ maxLength: 1000 })),
      },
      closed,
    ),
    answer: Type.Object({ id: Type.String(), path: Type.String() }),
  },
  policies: {
    summary: 'The texts of the policies that serve.',
    role: 'viewer',
    answer: Type.Object({
      policies: Type.Array(
        Type.Object({
          name: Type.String(),
          path: Type.String(),
          hash: Type.String(),
          share: Type.Number(),
          text: Type.String(),
        }),
      ),
      /** where proposals and approvals are kept; null if policies need none */
      approvals: Nullable(Type.String()),
    }),
  },
  data: {
    summary: 'Of weir console alone: logs to learn from, and what was started with them.',
    role: 'operator',
    answer: Type.Object({
      /** where dropped files and bundles are kept */
      folder: Type.String(),
      files: Type.Array(Type.Object({ name: Type.String(), bytes: Type.Integer() })),
      jobs: Type.Array(Job),
    }),
  },
  data_put: {
    summary: 'A part of a dropped file, at the place where the part before it ended.',
    role: 'operator',
    body: Type.Object(
      {
        name: FileName,
        offset: Type.Integer({ minimum: 0 }),
        /** base64 */
        part: Type.String({ maxLength: 1_000_000 }),
      },
      closed,
    ),
    answer: Type.Object({ bytes: Type.Integer() }),
  },
  data_explain: {
    summary:
      'How a file is read (weir data ingest --explain), and what it holds (weir data inspect).',
    role: 'operator',
    body: Type.Object(
      { name: Type.String(), strong: Type.Optional(ModelName), weak: Type.Optional(ModelName) },
      closed,
    ),
    answer: Type.Object({
      read: Type.String(),
      holds: Type.String(),
      /** the most answered first */
      models: Type.Array(Type.String()),
      failed: Type.Boolean(),
    }),
  },
  data_train: {
    summary: 'Starts weir train and weir evaluate as child processes.',
    role: 'operator',
    body: Type.Object(
      {
        name: Type.String(),
        strong: ModelName,
        weak: ModelName,
        router: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$' }),
      },
      closed,
    ),
    answer: Job,
  },
  data_stop: {
    summary: 'Stops a training run.',
    role: 'operator',
    body: Type.Object({ id: Type.String() }, closed),
    answer: Job,
  },
  ...MONEY_ENDPOINTS,
  ...HEALTH_ENDPOINTS,
} as const satisfies Readonly<Record<string, Endpoint>>

export type EndpointName = keyof typeof ENDPOINTS
type Shape<N extends EndpointName> = (typeof ENDPOINTS)[N]
type Part<T> = T extends TSchema ? Static<T> : never
/** What an endpoint takes: its body, else its query. */
export type Asked<N extends EndpointName> =
  Shape<N> extends { readonly body: infer B }
    ? Part<B>
    : Shape<N> extends { readonly query: infer Q }
      ? Part<Q>
      : Record<never, never>
export type Answered<N extends EndpointName> = Static<Shape<N>['answer']>

/** Who asks. */
export interface ConsoleCaller {
  readonly name: string
  readonly role: Role
}

export type Handler<N extends EndpointName> = (
  asked: Asked<N>,
  caller: ConsoleCaller,
) => Promise<Answered<N>> | Answered<N>
export type Handlers = { readonly [N in EndpointName]?: Handler<N> | undefined }

export const SignIn = Type.Object(
  {
    /** an API key that the configuration gives a `console` role, or the admin token */
    key: Type.String({ minLength: 1, maxLength: 500 }),
  },
  closed,
)

/** Who is signed in, and what this console has. `csrf` goes back in `x-weir-csrf` with every POST. */
export const Session = Type.Object({
  name: Type.String(),
  role: Role,
  csrf: Type.String(),
  /** milliseconds since 1970 */
  expires: Type.Number(),
  /** `server`: a running server; `local`: files on this machine, without a server */
  mode: Type.Union([Type.Literal('server'), Type.Literal('local')]),
  title: Type.String(),
  endpoints: Type.Array(Type.String()),
})
export type Session = Static<typeof Session>
