import Type from 'typebox'

/**
 * How one of any number of models is chosen, from what is expected of each: its quality q_m, a score in
 * [0, 1], and its cost c_m, US dollars of this request.
 * - `best-value`: the largest q_m - lambda * c_m; lambda is the quality that a dollar must buy.
 * - `cheapest-within`: the cheapest of those whose q_m is at most `loss` below the best one's.
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

/** A bundle's rule: a router without one decides between the strong and the weak model by a threshold. */
export const Choice = Type.Object({
  rule: ChoiceRule,
  /** how its number was found: `default` as trained, before any calibration */
  source: Type.Union([Type.Literal('default'), Type.Literal('calibrated')]),
  /** what a calibration promised and how */
  certificate: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
})
export type Choice = Type.Static<typeof Choice>

/** The rule of a kind at one value of its number. */
export const ruleAt = (kind: ChoiceKind, value: number): ChoiceRule =>
  kind === 'best-value' ? { kind, lambda: value } : { kind, loss: value }

/** The rule's one number. */
export const numberOf = (rule: ChoiceRule): number =>
  rule.kind === 'best-value' ? rule.lambda : rule.loss

/** The rule in words; dollars are per 1,000 requests, so that the number can be read. */
export const describeRule = (rule: ChoiceRule): string =>
  rule.kind === 'best-value'
    ? `the best value, a dollar per 1,000 requests counting as ${Number((rule.lambda / 1000).toPrecision(4))} of quality`
    : `the cheapest within ${Number(rule.loss.toPrecision(4))} of the best`

/**
 * The threshold between two models that the rule comes to, where the win rate is (1 + q_strong - q_weak) / 2:
 * q_s - lambda c_s >= q_w - lambda c_w  <=>  win rate >= (1 + lambda (c_s - c_w)) / 2.
 */
export function pairThreshold(rule: ChoiceRule, strongCost: number, weakCost: number): number {
  const price = rule.kind === 'best-value' ? rule.lambda * (strongCost - weakCost) : rule.loss
  return Math.min(Math.max((1 + price) / 2, 0), 1)
}
