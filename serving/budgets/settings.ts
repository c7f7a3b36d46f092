import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'
import { type OutgoingUrl, outgoingUrl } from '../../core/outgoing.ts'
import type { ModelTerms } from './bound.ts'

const Name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' })
const Names = Type.Union([
  Type.String({ minLength: 1 }),
  Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
])
const closed = { additionalProperties: false } as const

/** Whose spending a budget counts: requests that match every field; a list matches any of its entries. */
export const BudgetScope = Type.Object(
  {
    /** names of API keys */
    key: Type.Optional(Names),
    /** the rule or route that decided, else its step: the value of `x-weir-rule` or `x-weir-step` */
    route: Type.Optional(Names),
    /** names of `gateway.models` */
    model: Type.Optional(Names),
    /** the tier of the key, from the policy file's `keys` */
    tier: Type.Optional(Names),
  },
  { ...closed, minProperties: 1 },
)
export type BudgetScope = Type.Static<typeof BudgetScope>

/** The names of one field of a scope; none if it is absent. */
export const listed = (names: BudgetScope[keyof BudgetScope]): readonly string[] =>
  names === undefined ? [] : typeof names === 'string' ? [names] : names

/** One budget, in a policy file's `budgets` or in `gateway.budgets`. */
export const BudgetSettings = Type.Object(
  {
    name: Name,
    usd: Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 }),
    /** days and months in UTC; `total` is never reset */
    per: Type.Union([Type.Literal('day'), Type.Literal('month'), Type.Literal('total')]),
    /** default `all` */
    of: Type.Optional(Type.Union([Type.Literal('all'), BudgetScope])),
    /** shares of `usd` at which an alert is sent, once per period each */
    alert_at: Type.Optional(
      Type.Array(Type.Number({ exclusiveMinimum: 0, maximum: 1 }), { minItems: 1, maxItems: 20 }),
    ),
    /** also receives alerts: an http or https URL that accepts JSON */
    webhook: Type.Optional(Type.String({ minLength: 1, maxLength: 2000 })),
    /**
     * what happens to a request that does not fit: `stop` refuses it (402), `downgrade` closes the model to
     * it, so that cheaper ones answer, `alert` only sends an alert
     */
    // biome-ignore lint/suspicious/noThenProperty: a setting's name, on no object that anyone awaits
    then: Type.Union([Type.Literal('stop'), Type.Literal('downgrade'), Type.Literal('alert')]),
  },
  closed,
)
export type BudgetSettings = Type.Static<typeof BudgetSettings>

export const Budgets = Type.Array(BudgetSettings, { maxItems: 1000 })

/** Where spending is recorded. */
export const SpendSettings = Type.Object(
  {
    /** on a local disk, used by one server only; if absent, `spend` in the log's folder */
    folder: Type.String({ minLength: 1 }),
  },
  closed,
)

/**
 * Checks where alerts may be sent: the same hosts as an upstream's base URL; a query is allowed, as some
 * services have a token in it.
 *
 * @throws config_invalid
 */
export const webhookUrl = (
  text: string,
  where: string,
  allowHosts: readonly string[] | undefined,
): OutgoingUrl => outgoingUrl(text, where, { allowHosts, query: true })

/** The names that a question to a model is counted under. */
export interface SpendLabels {
  readonly key: string
  /** undefined while the policy still plans */
  readonly route: string | undefined
  readonly model: string
  readonly tier: string | undefined
}

export function counts({ of = 'all' }: BudgetSettings, labels: SpendLabels): boolean {
  if (of === 'all') return true
  return (['key', 'route', 'model', 'tier'] as const).every((field) =>
    holds(of[field], labels[field]),
  )
}

function holds(wanted: BudgetScope[keyof BudgetScope], got: string | undefined): boolean {
  if (wanted === undefined) return true
  if (got === undefined) return false
  return typeof wanted === 'string' ? wanted === got : wanted.includes(got)
}

export interface BudgetSurroundings {
  /** path of the section, for errors */
  readonly where: string
  /** by name: `gateway.models` */
  readonly models: Readonly<Record<string, { readonly price?: unknown; readonly context?: number }>>
  readonly terms: ReadonlyMap<string, ModelTerms>
  /** names of API keys; undefined if no key is required */
  readonly keys: readonly string[] | undefined
  readonly tiers: readonly string[]
  /** hosts that webhooks may be on; any if absent */
  readonly allowHosts: readonly string[] | undefined
}

/**
 * Checks budgets against the rest of the configuration: a budget that could never count, or whose models'
 * answers have no upper bound, is refused before the first request.
 *
 * @throws config_invalid
 */
export function checkBudgets(
  budgets: readonly BudgetSettings[],
  { where, models, terms, keys, tiers, allowHosts }: BudgetSurroundings,
): void {
  const refuse = (at: string, expected: string, got: unknown): never => {
    throw new WeirError('config_invalid', { where: `${where}.${at}`, expected, got })
  }
  for (const [i, { name, of = 'all', webhook }] of budgets.entries()) {
    if (budgets.findIndex((other) => other.name === name) < i) {
      refuse(`${i}.name`, 'a name of its own', name)
    }
    if (webhook !== undefined) webhookUrl(webhook, `${where}.${i}.webhook`, allowHosts)
    const scope: BudgetScope = of === 'all' ? {} : of
    const known = (field: keyof BudgetScope, names: readonly string[]): void => {
      for (const got of listed(scope[field])) {
        if (!names.includes(got)) {
          refuse(`${i}.of.${field}`, `one of ${names.join(', ') || '(none is defined)'}`, got)
        }
      }
    }
    known('model', Object.keys(models))
    if (keys) known('key', keys)
    known('tier', tiers)
    const counted = scope.model === undefined ? Object.keys(models) : listed(scope.model)
    for (const model of counted) {
      if (terms.has(model)) continue
      const missing = models[model]?.price === undefined ? 'price' : 'context'
      throw new WeirError('config_invalid', {
        where: `gateway.models.${model}.${missing}`,
        expected: `it, as the budget ${name} counts this model and needs to know what an answer may cost`,
        got: 'nothing',
      })
    }
  }
}
