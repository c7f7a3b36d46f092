import Type from 'typebox'

const Name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' })
const Names = Type.Union([
  Type.String({ minLength: 1 }),
  Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
])
const closed = { additionalProperties: false } as const

/** Whose spending a budget counts: what meets every field; of a list, one entry. */
export const BudgetScope = Type.Object(
  {
    /** names of API keys */
    key: Type.Optional(Names),
    /** the rule or route that decided, else its step: what `x-weir-rule` or `x-weir-step` say */
    route: Type.Optional(Names),
    /** names of `gateway.models` */
    model: Type.Optional(Names),
    /** the tier of the key, from the policy file's `keys` */
    tier: Type.Optional(Names),
  },
  { ...closed, minProperties: 1 },
)
export type BudgetScope = Type.Static<typeof BudgetScope>

/** The names of one field of a scope; none where it is absent. */
export const listed = (names: BudgetScope[keyof BudgetScope]): readonly string[] =>
  names === undefined ? [] : typeof names === 'string' ? [names] : names

/** One budget, the same in a policy file's `budgets` and in `gateway.budgets`. */
export const BudgetSettings = Type.Object(
  {
    name: Name,
    usd: Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 }),
    /** days and months of UTC; `total` never begins anew */
    per: Type.Union([Type.Literal('day'), Type.Literal('month'), Type.Literal('total')]),
    /** `all` unless told */
    of: Type.Optional(Type.Union([Type.Literal('all'), BudgetScope])),
    /** shares of `usd` at which somebody is told, once a period each */
    alert_at: Type.Optional(
      Type.Array(Type.Number({ exclusiveMinimum: 0, maximum: 1 }), { minItems: 1, maxItems: 20 }),
    ),
    /** told as well: an http or https URL that takes JSON */
    webhook: Type.Optional(Type.String({ minLength: 1, maxLength: 2000 })),
    /**
     * what a request meets that does not fit: `stop` refuses it (402), `downgrade` closes the model to it, so
     * that cheaper ones answer, `alert` only tells
     */
    // biome-ignore lint/suspicious/noThenProperty: a setting's name, on no object that anyone awaits
    then: Type.Union([Type.Literal('stop'), Type.Literal('downgrade'), Type.Literal('alert')]),
  },
  closed,
)
export type BudgetSettings = Type.Static<typeof BudgetSettings>

export const Budgets = Type.Array(BudgetSettings, { maxItems: 1000 })

/** Where spending is written down. */
export const SpendSettings = Type.Object(
  {
    /** on a local disk, one server's own; `spend` in the log's folder where absent */
    folder: Type.String({ minLength: 1 }),
  },
  closed,
)
