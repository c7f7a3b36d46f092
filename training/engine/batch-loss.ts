import type { GraphBuilder } from '../../models/onnx/builder.ts'
import { MINIMUM_WEIGHT } from './batches.ts'
import type { FitRows, FitSpec } from './engine.ts'
import type { Tape } from './tape.ts'
import type { GraphValue, ScaledValue } from './value-graph.ts'

/**
 * Reverse-mode differentiation of a tape (Griewank and Walther 2008, ch. 3): the gradients of sum(seed *
 * output) with respect to `wanted`, each plus its term if it has one, written into the tape's graph.
 */
function differentiate(
  tape: Tape,
  output: GraphValue,
  seed: GraphValue,
  wanted: readonly { readonly value: GraphValue; readonly term?: ScaledValue }[],
): GraphValue[] {
  const gradients = new Map<string, GraphValue>([[output.name, seed]])
  const terms = new Map<string, ScaledValue>()
  for (const { value, term } of wanted) if (term) terms.set(value.name, term)
  const takeTerm = (input: GraphValue): ScaledValue | undefined => {
    const term = input.tracked ? terms.get(input.name) : undefined
    terms.delete(input.name)
    return term
  }

  for (const entry of tape.entries.toReversed()) {
    const gradient = gradients.get(entry.output.name)
    if (!gradient) continue
    const contributions = entry.backward(
      gradient,
      entry.addsTerms ? entry.inputs.map(takeTerm) : [],
    )
    for (const [i, input] of entry.inputs.entries()) {
      if (!input.tracked) continue
      const known = gradients.get(input.name)
      const more = contributions[i]!
      gradients.set(input.name, known ? tape.sum(known, more) : more)
    }
  }
  return wanted.map(({ value }) => {
    const gradient = gradients.get(value.name)
    if (!gradient) throw new TypeError(`the loss does not depend on ${value.name}`)
    const whole = tape.expand(gradient, value.shape)
    const term = terms.get(value.name)
    return term ? tape.sum(whole, tape.times(term.value, term.factor)) : whole
  })
}

/** Names of a graph's inputs and outputs. */
export const INPUT = {
  steps: 'steps',
  order: 'order',
  weight: 'weight',
  stepSize: 'step_size',
  epsilon: 'epsilon',
  parameter: (name: string): string => `p:${name}`,
  first: (name: string): string => `m:${name}`,
  second: (name: string): string => `v:${name}`,
  column: (name: string): string => `c:${name}`,
  table: (name: string): string => `t:${name}`,
  index: (name: string): string => `i:${name}`,
} as const
export const LOSSES = 'losses'
export const next = (input: string): string => `${input}'`

export type BatchInputs = Readonly<
  Record<string, { readonly source: string; readonly table?: string }>
>

/** Declares order, weights, columns and tables; returns each column split into batches, [steps, batch]. */
export function declareInputs(
  graph: GraphBuilder,
  spec: FitSpec,
  rows: FitRows,
  batchSize: number,
): BatchInputs {
  graph.input(INPUT.steps, 'int64', [])
  graph.input(INPUT.order, 'int32', ['steps', batchSize])
  graph.input(INPUT.weight, 'float32', ['steps', batchSize])
  const inputs: Record<string, { source: string; table?: string }> = {}
  for (const [name, column] of Object.entries(rows.columns)) {
    const type = column instanceof Int32Array ? 'int32' : 'float32'
    const whole = graph.input(INPUT.column(name), type, ['rows'])
    inputs[name] = { source: graph.node('Gather', [whole, INPUT.order]) }
  }
  for (const [name, { table }] of Object.entries(rows.lookups)) {
    if (inputs[name]) throw new TypeError(`${spec.name}: ${name} is both a column and a lookup`)
    const whole = graph.input(INPUT.index(name), 'int32', ['rows'])
    const values = graph.input(INPUT.table(name), 'float32', table.shape)
    inputs[name] = { source: graph.node('Gather', [whole, INPUT.order]), table: values }
  }
  return inputs
}

export interface BatchLoss {
  /** [batch], unweighted */
  readonly losses: GraphValue
  readonly weight: GraphValue
  /** the name of their weighted sum */
  readonly sum: string
}

/** Records the loss of batch `at`, gathering its columns first. */
export function recordLoss(
  tape: Tape,
  spec: FitSpec,
  rows: FitRows,
  batchSize: number,
  inputs: BatchInputs,
  parameters: Readonly<Record<string, GraphValue>>,
  at: string,
): BatchLoss {
  const take = (source: string): string => tape.graph.node('Gather', [source, at])
  const batch: Record<string, GraphValue> = {}
  for (const [name, { source, table }] of Object.entries(inputs)) {
    const column = take(source)
    if (!table) batch[name] = { name: column, shape: [batchSize], tracked: false }
    else {
      const shape = [batchSize, ...rows.lookups[name]!.table.shape.slice(1)]
      batch[name] = { name: tape.graph.node('Gather', [table, column]), shape, tracked: false }
    }
  }
  const weight = { name: take(INPUT.weight), shape: [batchSize], tracked: false }
  const losses = spec.loss<GraphValue>(tape, parameters, batch)
  if (losses.shape.length !== 1 || losses.shape[0] !== batchSize) {
    throw new TypeError(`${spec.name}: expected a loss of [${batchSize}], got [${losses.shape}]`)
  }
  return { losses, weight, sum: tape.reduceSum(tape.product(losses, weight), [0], []).name }
}

/** Gradients of the batch's weighted mean loss plus l2 / 2 |p|^2, by parameter. */
export function objectiveGradients(
  tape: Tape,
  spec: FitSpec,
  parameters: Readonly<Record<string, GraphValue>>,
  { losses, weight }: BatchLoss,
): Record<string, GraphValue> {
  const graph = tape.graph
  const total = graph.node('Max', [
    tape.reduceSum(weight, [0], []).name,
    tape.scalar(MINIMUM_WEIGHT),
  ])
  const seed = { ...weight, name: graph.node('Div', [weight.name, total]) }
  const names = Object.keys(spec.parameters)
  const wanted = names.map((name) => {
    const value = parameters[name]!
    const { l2 } = spec.parameters[name]!
    return l2 > 0 ? { value, term: { value, factor: l2 } } : { value }
  })
  const gradients = differentiate(tape, losses, seed, wanted)
  return Object.fromEntries(names.map((name, i) => [name, gradients[i]!]))
}
