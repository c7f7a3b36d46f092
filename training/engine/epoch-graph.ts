import { GraphBuilder } from '../../models/onnx/builder.ts'
import type { OnnxModel } from '../../models/onnx/model.ts'
import { BETA1, BETA2 } from './adam.ts'
import { MINIMUM_WEIGHT } from './batches.ts'
import type { FitRows, FitSpec } from './engine.ts'
import { differentiate } from './gradient.ts'
import { type GraphValue, Tape } from './tape.ts'

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

/**
 * A whole epoch as one ONNX Loop over its batches: gather, forward, backward and Adam's step. State
 * goes in and comes out: p: parameters, m: and v: Adam's moments.
 */
export function epochGraph(spec: FitSpec, rows: FitRows, batchSize: number): OnnxModel {
  const outer = new GraphBuilder()
  const inputs = declareInputs(outer, spec, rows, batchSize)
  outer.input(INPUT.stepSize, 'float32', ['steps'])
  outer.input(INPUT.epsilon, 'float32', ['steps'])
  const names = Object.keys(spec.parameters)
  const states = names.flatMap((name) => [
    { input: INPUT.parameter(name), shape: spec.parameters[name]!.shape },
    { input: INPUT.first(name), shape: spec.parameters[name]!.shape },
    { input: INPUT.second(name), shape: spec.parameters[name]!.shape },
  ])
  for (const state of states) outer.input(state.input, 'float32', state.shape)

  const body = new GraphBuilder('b_')
  const at = declareIteration(body)
  for (const state of states) body.input(`b:${state.input}`, 'float32', state.shape)
  const parameters = parameterValues(spec, (name) => `b:${INPUT.parameter(name)}`)
  const tape = new Tape(body)
  const { losses, weight, lossSum } = recordLoss(
    tape,
    spec,
    rows,
    batchSize,
    inputs,
    parameters,
    at,
  )
  const gradients = objectiveGradients(tape, spec, parameters, losses, weight)
  const stepSize = body.node('Gather', [INPUT.stepSize, at])
  const epsilon = body.node('Gather', [INPUT.epsilon, at])
  for (const [i, name] of names.entries()) {
    const shape = spec.parameters[name]!.shape
    const g = gradients[i]!.name
    const p = `b:${INPUT.parameter(name)}`
    const m = body.node('Add', [
      body.node('Mul', [`b:${INPUT.first(name)}`, tape.scalar(BETA1)]),
      body.node('Mul', [g, tape.scalar(1 - BETA1)]),
    ])
    const v = body.node('Add', [
      body.node('Mul', [`b:${INPUT.second(name)}`, tape.scalar(BETA2)]),
      body.node('Mul', [body.node('Mul', [g, g]), tape.scalar(1 - BETA2)]),
    ])
    const denominator = body.node('Add', [body.node('Sqrt', [v]), epsilon])
    const step = body.node('Mul', [body.node('Div', [m, denominator]), stepSize])
    body.output(body.node('Sub', [p, step]), 'float32', shape)
    body.output(m, 'float32', shape)
    body.output(v, 'float32', shape)
  }
  body.output(lossSum, 'float32', [])

  const carried = states.map((state) => state.input)
  const results = outer.nodeOutputs('Loop', [INPUT.steps, '', ...carried], states.length + 1, {
    body: { graph: body.finish(`${spec.name} step`) },
  })
  for (const [i, state] of states.entries()) {
    outer.output(results[i]!, 'float32', state.shape, next(state.input))
  }
  outer.output(results[states.length]!, 'float32', ['steps'], LOSSES)
  return { graph: outer.finish(`${spec.name} epoch`) }
}

/** The weighted sums of row losses of each batch, without gradients. */
export function evaluationGraph(spec: FitSpec, rows: FitRows, batchSize: number): OnnxModel {
  const outer = new GraphBuilder()
  const inputs = declareInputs(outer, spec, rows, batchSize)
  declareParameters(outer, spec)
  const body = new GraphBuilder('b_')
  const at = declareIteration(body)
  const parameters = parameterValues(spec, INPUT.parameter)
  const { lossSum } = recordLoss(new Tape(body), spec, rows, batchSize, inputs, parameters, at)
  body.output(lossSum, 'float32', [])
  const [losses] = outer.nodeOutputs('Loop', [INPUT.steps, ''], 1, {
    body: { graph: body.finish(`${spec.name} batch`) },
  })
  outer.output(losses!, 'float32', ['steps'], LOSSES)
  return { graph: outer.finish(`${spec.name} evaluation`) }
}

/** The loss and the objective's gradients on all the rows at once. */
export function gradientGraph(spec: FitSpec, rows: FitRows): OnnxModel {
  const graph = new GraphBuilder()
  const inputs = declareInputs(graph, spec, rows, rows.rows)
  declareParameters(graph, spec)
  const at = graph.constant({ type: 'int64', shape: [], data: BigInt64Array.of(0n) })
  const parameters = parameterValues(spec, INPUT.parameter)
  const tape = new Tape(graph)
  const { losses, weight, lossSum } = recordLoss(
    tape,
    spec,
    rows,
    rows.rows,
    inputs,
    parameters,
    at,
  )
  const gradients = objectiveGradients(tape, spec, parameters, losses, weight)
  for (const [i, [name, { shape }]] of Object.entries(spec.parameters).entries()) {
    graph.output(gradients[i]!.name, 'float32', shape, next(INPUT.parameter(name)))
  }
  graph.output(lossSum, 'float32', [], LOSSES)
  return { graph: graph.finish(`${spec.name} gradient`) }
}

type BatchInputs = Readonly<Record<string, { readonly source: string; readonly table?: string }>>

/** Declares order, weights, columns and tables; returns each column by batch, [steps, batch]. */
function declareInputs(
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

function declareParameters(graph: GraphBuilder, spec: FitSpec): void {
  for (const [name, { shape }] of Object.entries(spec.parameters)) {
    graph.input(INPUT.parameter(name), 'float32', shape)
  }
}

/** A Loop body's first inputs and outputs; returns the iteration's number. */
function declareIteration(body: GraphBuilder): string {
  const at = body.input('b_iteration', 'int64', [])
  body.output(body.input('b_go', 'bool', []), 'bool', [], 'b_go_on')
  return at
}

function parameterValues(
  spec: FitSpec,
  named: (name: string) => string,
): Record<string, GraphValue> {
  return Object.fromEntries(
    Object.entries(spec.parameters).map(([name, { shape }]) => [
      name,
      { name: named(name), shape, tracked: true },
    ]),
  )
}

function recordLoss(
  tape: Tape,
  spec: FitSpec,
  rows: FitRows,
  batchSize: number,
  inputs: BatchInputs,
  parameters: Readonly<Record<string, GraphValue>>,
  at: string,
): { losses: GraphValue; weight: GraphValue; lossSum: string } {
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
  const lossSum = tape.reduceSum(tape.product(losses, weight), [0], []).name
  return { losses, weight, lossSum }
}

/** Gradients of the batch's weighted mean loss plus l2 / 2 |p|^2, in the parameters' order. */
function objectiveGradients(
  tape: Tape,
  spec: FitSpec,
  parameters: Readonly<Record<string, GraphValue>>,
  losses: GraphValue,
  weight: GraphValue,
): GraphValue[] {
  const graph = tape.graph
  const total = graph.node('Max', [
    tape.reduceSum(weight, [0], []).name,
    tape.scalar(MINIMUM_WEIGHT),
  ])
  const seed = { ...weight, name: graph.node('Div', [weight.name, total]) }
  const values = Object.values(parameters)
  const gradients = differentiate(tape, losses, seed, values)
  return Object.values(spec.parameters).map(({ l2 }, i) =>
    l2 > 0 ? tape.sum(gradients[i]!, tape.times(values[i]!, l2)) : gradients[i]!,
  )
}
