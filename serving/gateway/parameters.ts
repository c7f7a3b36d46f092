import Type from 'typebox'
import { changedClientBody } from '../conversation/client-api.ts'
import { editJson } from '../upstreams/body-text.ts'
import { UpstreamError } from '../upstreams/failure.ts'
import type { PassedBody, Upstream, UpstreamAnswer, UpstreamCall } from '../upstreams/upstream.ts'
import { DEVELOPER_ROLE, inabilityOf } from './inability.ts'

const Field = Type.String({ minLength: 1, maxLength: 100 })
const Values = Type.Record(Field, Type.Unknown())

/** How the parameters of requests are changed for one model, in this order. */
export const ParameterRules = Type.Object(
  {
    /** the row of the shipped table that applies: found by the upstream's name of the model, or `none` */
    family: Type.Optional(Type.String({ minLength: 1 })),
    /** other names: `max_tokens: max_completion_tokens`; `role.developer: system` renames a role of messages */
    rename: Type.Optional(Type.Record(Field, Field)),
    /** left out */
    drop: Type.Optional(Type.Array(Field)),
    /** brought between these bounds */
    clamp: Type.Optional(
      Type.Record(
        Field,
        Type.Object(
          { min: Type.Optional(Type.Number()), max: Type.Optional(Type.Number()) },
          { additionalProperties: false },
        ),
      ),
    ),
    /** set if the request does not say */
    default: Type.Optional(Values),
    /** set whatever the request says */
    fixed: Type.Optional(Values),
  },
  { additionalProperties: false },
)
export type ParameterRules = Type.Static<typeof ParameterRules>

interface Family {
  readonly name: string
  /** of the upstream's name of a model, without what is before its last slash */
  readonly models: RegExp
  readonly rules: ParameterRules
}

const SAMPLING = ['temperature', 'top_p', 'presence_penalty', 'frequency_penalty', 'logit_bias']

/**
 * Well-known families whose parameters differ from the rest. Sources: the providers' API references and the
 * refusals of their servers, as of 2026.
 */
export const FAMILIES: readonly Family[] = [
  {
    name: 'openai-o1-early',
    models: /^o1-(mini|preview)/,
    rules: {
      rename: {
        max_tokens: 'max_completion_tokens',
        'role.system': 'user',
        'role.developer': 'user',
      },
      drop: [...SAMPLING, 'parallel_tool_calls'],
    },
  },
  {
    name: 'openai-reasoning',
    // gpt-5 and its sizes; the chat models and later versions take sampling parameters again
    models:
      /^(o[134](-mini|-pro|-deep-research.*)?|gpt-5(-mini|-nano|-pro|-codex.*)?)(-20\d\d.*)?$/,
    rules: { rename: { max_tokens: 'max_completion_tokens' }, drop: SAMPLING },
  },
  {
    name: 'openai-gpt-5',
    models: /^gpt-5/,
    rules: { rename: { max_tokens: 'max_completion_tokens' } },
  },
  {
    name: 'mistral',
    models: /^((open-)?(mistral|mixtral)|codestral|ministral|magistral|devstral|pixtral|voxtral)-/,
    rules: {
      rename: {
        max_completion_tokens: 'max_tokens',
        seed: 'random_seed',
        'role.developer': 'system',
      },
    },
  },
  {
    name: 'deepseek',
    models: /^deepseek-(chat|reasoner|coder)/,
    rules: { rename: { max_completion_tokens: 'max_tokens', 'role.developer': 'system' } },
  },
  {
    name: 'cohere',
    models: /^(command|c4ai)-/,
    rules: { rename: { max_completion_tokens: 'max_tokens' } },
  },
  {
    name: 'claude-later',
    models: /^claude-(opus|sonnet|haiku)-(4-[789]|[5-9])/,
    rules: { drop: ['temperature', 'top_p', 'top_k'] },
  },
]

/** The names that `family` may have. */
export const FAMILY_NAMES = [...FAMILIES.map(({ name }) => name), 'none']

/** The rules for a model: its family's, with the configuration's over them. */
export function rulesFor(model: string, own: ParameterRules = {}): ParameterRules {
  const bare = model.slice(model.lastIndexOf('/') + 1).toLowerCase()
  const { family } = own
  const row =
    family === undefined
      ? FAMILIES.find(({ models }) => models.test(bare))
      : FAMILIES.find(({ name }) => name === family)
  if (!row) return own
  const { rules } = row
  const set = new Set([
    ...Object.keys(own.default ?? {}),
    ...Object.keys(own.fixed ?? {}),
    ...Object.keys(own.clamp ?? {}),
  ])
  return {
    ...own,
    rename: { ...rules.rename, ...own.rename },
    drop: [...(rules.drop ?? []).filter((field) => !set.has(field)), ...(own.drop ?? [])],
  }
}

/** Changes of a body's top-level fields; undefined removes one. */
type Changes = Record<string, unknown>

/** What the rules change in a body. @param adjusted gets what the client should know of */
export function changesFor(
  rules: ParameterRules,
  body: PassedBody,
  adjusted: (what: string) => void,
): Changes | undefined {
  const changes: Changes = {}
  const has = (field: string): boolean => valueNow(field) !== undefined && valueNow(field) !== null
  const valueNow = (field: string): unknown => (field in changes ? changes[field] : body[field])
  const roles = new Map<string, string>()
  for (const [from, to] of Object.entries(rules.rename ?? {})) {
    if (from.startsWith('role.')) {
      roles.set(from.slice('role.'.length), to)
    } else if (has(from)) {
      if (!has(to)) changes[to] = valueNow(from)
      changes[from] = undefined
    }
  }
  const messages = renamedRoles(body.messages, roles)
  if (messages) changes.messages = messages
  for (const field of rules.drop ?? []) {
    if (!has(field)) continue
    changes[field] = undefined
    adjusted(`${field} left out`)
  }
  for (const [field, { min = -Infinity, max = Infinity }] of Object.entries(rules.clamp ?? {})) {
    const value = valueNow(field)
    if (typeof value !== 'number') continue
    const within = Math.min(max, Math.max(min, value))
    if (within === value) continue
    changes[field] = within
    adjusted(`${field} set to ${within}`)
  }
  for (const [field, value] of Object.entries(rules.default ?? {})) {
    if (!has(field)) changes[field] = value
  }
  for (const [field, value] of Object.entries(rules.fixed ?? {})) {
    if (valueNow(field) === value) continue
    if (has(field)) adjusted(`${field} set to ${JSON.stringify(value)}`)
    changes[field] = value
  }
  return Object.keys(changes).length === 0 ? undefined : changes
}

/** Fields of which an answer costs more the larger they are. */
const COSTLY = ['max_tokens', 'max_completion_tokens', 'max_output_tokens', 'n', 'best_of'] as const

/** Whether the rules may ask for a more expensive answer than the request does. */
export const mayCostMore = (rules: ParameterRules): boolean =>
  COSTLY.some(
    (field) =>
      rules.fixed?.[field] !== undefined ||
      rules.default?.[field] !== undefined ||
      rules.clamp?.[field]?.min !== undefined,
  )

/** What the cost of an answer depends on once one of these rules has changed the body: the largest of each field. */
export function costlyFields(
  rules: readonly ParameterRules[],
  body: PassedBody,
): Record<string, number> {
  const most: Record<string, number> = {}
  for (const one of rules) {
    const changes = changesFor(one, body, () => {}) ?? {}
    for (const field of COSTLY) {
      const value = changes[field]
      if (typeof value === 'number') most[field] = Math.max(value, most[field] ?? 0)
    }
  }
  return most
}

/** The messages with other roles; undefined if there is nothing to change. */
function renamedRoles(messages: unknown, roles: ReadonlyMap<string, string>): unknown {
  if (roles.size === 0 || !Array.isArray(messages)) return undefined
  const list = messages as { readonly role: string }[]
  if (!list.some(({ role }) => roles.has(role))) return undefined
  return list.map((turn) => ({ ...turn, role: roles.get(turn.role) ?? turn.role }))
}

/** Names for the same thing: which one a server knows is learnt from its refusal. */
const SAME: Readonly<Record<string, string>> = {
  max_tokens: 'max_completion_tokens',
  max_completion_tokens: 'max_tokens',
  [DEVELOPER_ROLE]: 'system',
}
/** Wishes about how a routed request is answered: they are given up rather than the answer. */
const WISHES = new Set([
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'presence_penalty',
  'frequency_penalty',
  'repetition_penalty',
  'seed',
  'parallel_tool_calls',
  'verbosity',
  'service_tier',
  'store',
  'metadata',
  'user',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'prediction',
])
/** Most refusals of one question that are answered with a changed one. */
const MOST_CHANGES = 4

/**
 * An upstream that changes the parameters of each request by the model's rules, and by what the upstream's
 * refusals have taught: a name that it does not know is replaced by the other name for the same thing, and a
 * wish of a routed request that it does not take is left out. Refused requests are not billed.
 */
export function withParameters(upstream: Upstream, rules: ParameterRules): Upstream {
  const learnt = { rename: new Map<string, string>(), drop: new Set<string>() }

  const rulesNow = (routed: boolean): ParameterRules => {
    if (learnt.rename.size === 0 && learnt.drop.size === 0) return rules
    return {
      ...rules,
      rename: { ...rules.rename, ...Object.fromEntries(learnt.rename) },
      drop: routed ? [...(rules.drop ?? []), ...learnt.drop] : (rules.drop ?? []),
    }
  }

  /** Whether the refusal taught something that a changed request can use. */
  const learns = (error: unknown, { body, routed = false }: UpstreamCall): boolean => {
    if (!(error instanceof UpstreamError)) return false
    const parameter = inabilityOf(error, body)?.parameter
    if (parameter === undefined) return false
    const other = SAME[parameter]
    if (other !== undefined) {
      // not back to a name that was refused before
      if (learnt.rename.has(other) || learnt.rename.has(parameter)) return false
      learnt.rename.set(parameter, other)
      return true
    }
    if (!routed || !WISHES.has(parameter) || learnt.drop.has(parameter)) return false
    learnt.drop.add(parameter)
    return true
  }

  return {
    name: upstream.name,
    close: () => upstream.close(),
    ...(upstream.speaks ? { speaks: upstream.speaks.bind(upstream) } : {}),
    forwards: upstream.forwards,
    ...(upstream.forward ? { forward: upstream.forward.bind(upstream) } : {}),
    async complete(call, cancellation) {
      for (let changed = 0; ; changed++) {
        const notes: string[] = []
        const adjusted = (what: string): void => {
          notes.push(what)
        }
        const shaped = shapedCall(rulesNow(call.routed ?? false), call, adjusted)
        // a call is made for one attempt, and copying it costs a microsecond
        shaped.adjusted = adjusted
        try {
          return withNotes(await upstream.complete(shaped, cancellation), notes)
        } catch (error) {
          if (changed >= MOST_CHANGES || !learns(error, shaped)) throw error
        }
      }
    },
  }
}

function shapedCall(
  rules: ParameterRules,
  call: UpstreamCall,
  adjusted: (what: string) => void,
): UpstreamCall {
  const { endpoint, chat } = call
  if (endpoint === 'responses' || endpoint === 'messages') {
    const changes = chat && changesFor(rules, chat, adjusted)
    if (!changes) return call
    const named = Object.fromEntries(
      Object.entries(changes).filter(([field]) => field !== 'messages'),
    )
    if (Object.keys(named).length === 0) return call
    const body = changedClientBody(endpoint, call.body, named, undefined, adjusted)
    return { ...call, body: { ...body, model: call.body.model }, text: undefined }
  }
  if (endpoint !== 'chat') return call
  const changes = changesFor(rules, call.body, adjusted)
  if (!changes) return call
  const body: Record<string, unknown> = { ...call.body }
  const edits: Record<string, string | null> = {}
  for (const [field, value] of Object.entries(changes)) {
    if (value === undefined) delete body[field]
    else body[field] = value
    edits[field] = value === undefined ? null : JSON.stringify(value)
  }
  const text = call.text === undefined ? undefined : editJson(call.text, edits)
  return { ...call, body: body as PassedBody, text }
}

/** The answer, with what was changed in a header of the client's. */
export function withNotes(answer: UpstreamAnswer, notes: readonly string[]): UpstreamAnswer {
  if (notes.length === 0) return answer
  const before = answer.headers?.['x-weir-adjusted']
  const all = [...new Set([...notes, ...(before === undefined ? [] : before.split('; '))])]
  const said = all.join('; ').replace(/[^\x20-\x7e]/g, '?')
  return { ...answer, headers: { ...answer.headers, 'x-weir-adjusted': said } }
}
