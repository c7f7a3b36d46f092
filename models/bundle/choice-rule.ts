import Type from 'typebox'

/**
 * How one of several models is chosen, from the expected quality q_m (a score in [0, 1]) and the expected
 * cost c_m (US dollars of this request) of each.
 * - `best-value`: the largest q_m - lambda * c_m; lambda is the quality required per dollar.
 * - `cheapest-within`: the cheapest model whose q_m is at most `loss` below the best one's.
 */
export const ChoiceRule = Type.Union([
  Type.Object({ kind: Type.Literal('best-value'), lambda: Type.Number({ minimum: 0 }) }),
  Type.Object({
    kind: Type.Literal('cheapest-within'),
    loss: Type.Number({ minimum: 0, maximum: 1 }),
  }),
])
export type ChoiceRule = Type.Static<typeof ChoiceRule>
export type ChoiceKind = ChoiceRule['kind']

/**
 * A bundle's choice rule. A router without one chooses between the strong and the weak model by a threshold.
 */
export const Choice = Type.Object({
  rule: ChoiceRule,
  /** how the rule's number was set: `default` as trained, before any calibration */
  source: Type.Union([Type.Literal('default'), Type.Literal('calibrated')]),
  /** what a calibration run guarantees, and how it was computed */
  certificate: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
})
export type Choice = Type.Static<typeof Choice>

/** The rule of a kind, with the given value of its number. */
export const ruleAt = (kind: ChoiceKind, value: number): ChoiceRule =>
  kind === 'best-value' ? { kind, lambda: value } : { kind, loss: value }

/** The rule's one number. */
export const numberOf = (rule: ChoiceRule): number =>
  rule.kind === 'best-value' ? rule.lambda : rule.loss

/** The rule in words; dollars are per 1,000 requests so that the number is readable. */
export const describeRule = (rule: ChoiceRule): string =>
  rule.kind === 'best-value'
    ? `the best value, a dollar per 1,000 requests counting as ${Number((rule.lambda / 1000).toPrecision(4))} of quality`
    : `the cheapest within ${Number(rule.loss.toPrecision(4))} of the best`

/**
 * The threshold between two models equivalent to the rule, where win rate = (1 + q_strong - q_weak) / 2:
 * q_s - lambda c_s >= q_w - lambda c_w  <=>  win rate >= (1 + lambda (c_s - c_w)) / 2.
 */
export function pairThreshold(rule: ChoiceRule, strongCost: number, weakCost: number): number {
  const price = rule.kind === 'best-value' ? rule.lambda * (strongCost - weakCost) : rule.loss
  return Math.min(Math.max((1 + price) / 2, 0), 1)
}
