import { type ChoiceKind, ruleAt } from '../../../models/bundle/choice-rule.ts'
import { choiceOrder, firstOrder } from '../../../models/decision/choice.ts'
import type { Expectations, ModelTable } from '../log/model-table.ts'

/**
 * All decisions of a rule on n prompts as its number goes from 0 to infinity: the model of each prompt at 0,
 * and then every change, in order. The decisions at any number are found by walking along it.
 */
export interface PolicyPath {
  readonly kind: ChoiceKind
  /** n: the model at number 0 */
  readonly start: Int32Array
  /** ascending: above this value (for a loss: from this value on) the prompt has another model */
  readonly value: Float64Array
  readonly prompt: Int32Array
  readonly from: Int32Array
  readonly to: Int32Array
}

/** O(n m k) for k changes per prompt; k is small, since models that are never the best value are skipped. */
export function policyPath(kind: ChoiceKind, expected: Expectations, m: number): PolicyPath {
  const n = expected.quality.length / m
  const start = new Int32Array(n)
  const value: number[] = []
  const prompt: number[] = []
  const from: number[] = []
  const to: number[] = []
  const identity = firstOrder(m)
  const order = new Int32Array(m)
  const next = kind === 'best-value' ? nextByValue : nextWithinLoss
  for (let i = 0; i < n; i++) {
    const quality = expected.quality.subarray(i * m, (i + 1) * m)
    const costs = expected.costs.subarray(i * m, (i + 1) * m)
    order.set(identity)
    let now = choiceOrder(ruleAt(kind, 0), quality, costs, undefined, order)[0]!
    start[i] = now
    const best = quality[now]!
    for (let change = next(quality, costs, now, best); change; ) {
      value.push(change.value)
      prompt.push(i)
      from.push(now)
      to.push(change.to)
      now = change.to
      change = next(quality, costs, now, best)
    }
  }
  const sorted = Uint32Array.from(value.keys()).sort((a, b) => value[a]! - value[b]! || a - b)
  return {
    kind,
    start,
    value: Float64Array.from(sorted, (k) => value[k]!),
    prompt: Int32Array.from(sorted, (k) => prompt[k]!),
    from: Int32Array.from(sorted, (k) => from[k]!),
    to: Int32Array.from(sorted, (k) => to[k]!),
  }
}

interface Change {
  readonly value: number
  readonly to: number
}

/** The next corner of the upper envelope of the lines q - lambda c. */
function nextByValue(quality: Float64Array, costs: Float64Array, now: number): Change | undefined {
  let value = Number.POSITIVE_INFINITY
  let to = -1
  for (let k = 0; k < quality.length; k++) {
    const saved = costs[now]! - costs[k]!
    if (!(saved > 0)) continue
    const lambda = Math.max(0, (quality[now]! - quality[k]!) / saved)
    if (lambda < value || (lambda === value && costs[k]! < costs[to]!)) {
      value = lambda
      to = k
    }
  }
  return to < 0 ? undefined : { value, to }
}

/** The next cheaper model that comes within the loss; the best of them if there are several. */
function nextWithinLoss(
  quality: Float64Array,
  costs: Float64Array,
  now: number,
  best: number,
): Change | undefined {
  let to = -1
  for (let k = 0; k < quality.length; k++) {
    if (!(costs[k]! < costs[now]!)) continue
    const ahead = to < 0 ? 1 : quality[k]! - quality[to]!
    if (ahead > 0 || (ahead === 0 && costs[k]! < costs[to]!)) to = k
  }
  return to < 0 ? undefined : { value: best - quality[to]!, to }
}

/** The model of every prompt at one value of the rule's number; length n. */
export function choicesAt(path: PolicyPath, value: number): Int32Array {
  const choices = path.start.slice()
  const inclusive = path.kind === 'cheapest-within'
  for (let k = 0; k < path.value.length; k++) {
    const at = path.value[k]!
    if (inclusive ? at > value : at >= value) break
    choices[path.prompt[k]!] = path.to[k]!
  }
  return choices
}

/** A path with the amounts that each change adds to the sums of score and cost. */
export interface PricedPath {
  readonly path: PolicyPath
  /** n: score of the models at number 0 */
  readonly startScore: Float64Array
  readonly startCost: Float64Array
  /** one per change */
  readonly score: Float64Array
  readonly cost: Float64Array
}

export function pricePath(path: PolicyPath, { models, scores, costs }: ModelTable): PricedPath {
  const m = models.length
  const start = (values: Float64Array): Float64Array =>
    Float64Array.from(path.start, (model, i) => values[i * m + model]!)
  const change = (values: Float64Array): Float64Array =>
    Float64Array.from(
      path.prompt,
      (i, k) => values[i * m + path.to[k]!]! - values[i * m + path.from[k]!]!,
    )
  return {
    path,
    startScore: start(scores),
    startCost: start(costs),
    score: change(scores),
    cost: change(costs),
  }
}
