import { GraphBuilder } from '../../models/onnx/builder.ts'
import type { OnnxModel } from '../../models/onnx/model.ts'
import { BETA1, BETA2 } from './adam.ts'
import { declareInputs, INPUT, LOSSES, next, objectiveGradients, recordLoss } from './batch-loss.ts'
import { type Block, planBlocks } from './batches.ts'
import type { FitRows, FitSpec } from './engine.ts'
import { Tape } from './tape.ts'
import type { GraphValue } from './value-graph.ts'

/**
 * A whole epoch as one ONNX Loop over its batches: gather, forward, backward and Adam's step. State enters
 * and leaves as blocks, named p: (parameters), m: and v: (Adam's sums).
 */
export function epochGraph(spec: FitSpec, rows: FitRows, batchSize: number): OnnxModel {
  const outer = new GraphBuilder()
  const inputs = declareInputs(outer, spec, rows, batchSize)
  outer.input(INPUT.stepSize, 'float32', ['steps'])
  outer.input(INPUT.epsilon, 'float32', ['steps'])
  const blocks = planBlocks(spec.parameters)
  const states = blocks.flatMap(({ name, shape }) =>
    [INPUT.parameter(name), INPUT.first(name), INPUT.second(name)].map((input) => ({
      input,
      shape,
    })),
  )
  for (const state of states) outer.input(state.input, 'float32', state.shape)

  const body = new GraphBuilder('b_')
  const at = declareIteration(body)
  for (const state of states) body.input(inBody(state.input), 'float32', state.shape)
  const parameters = splitBlocks(body, blocks, (name) => inBody(INPUT.parameter(name)))
  const tape = new Tape(body)
  const loss = recordLoss(tape, spec, rows, batchSize, inputs, parameters, at)
  const gradients = objectiveGradients(tape, spec, parameters, loss)
  const stepSize = body.node('Gather', [INPUT.stepSize, at])
  const epsilon = body.node('Gather', [INPUT.epsilon, at])
  for (const block of blocks) {
    const g = joinBlock(tape, block, gradients)
    const [p, m, v] = [INPUT.parameter, INPUT.first, INPUT.second].map((of) =>
      inBody(of(block.name)),
    )
    const first = body.node('Add', [body.node('Mul', [m!, tape.scalar(BETA1)]), g])
    const square = body.node('Mul', [g, g])
    const second = body.node('Add', [body.node('Mul', [v!, tape.scalar(BETA2)]), square])
    const root = body.node('Add', [body.node('Sqrt', [second]), epsilon])
    const step = body.node('Mul', [body.node('Div', [first, root]), stepSize])
    body.output(body.node('Sub', [p!, step]), 'float32', block.shape)
    body.output(first, 'float32', block.shape)
    body.output(second, 'float32', block.shape)
  }
  body.output(loss.sum, 'float32', [])

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

const inBody = (input: string): string => `b:${input}`

/** Splits the parameters out of their blocks' arrays. */
function splitBlocks(
  graph: GraphBuilder,
  blocks: readonly Block[],
  named: (block: string) => string,
): Record<string, GraphValue> {
  const values: Record<string, GraphValue> = {}
  for (const { name: block, shape: whole, parts } of blocks) {
    if (parts[0]!.shape === whole) {
      values[parts[0]!.name] = { name: named(block), shape: whole, tracked: true }
      continue
    }
    const sizes = graph.integers(parts.map((part) => part.size))
    const pieces = graph.nodeOutputs('Split', [named(block), sizes], parts.length)
    for (const [i, { name, shape }] of parts.entries()) {
      const value = graph.node('Reshape', [pieces[i]!, graph.integers(shape)])
      values[name] = { name: value, shape, tracked: true }
    }
  }
  return values
}

/** The gradient with respect to a block's array. */
function joinBlock(
  tape: Tape,
  block: Block,
  gradients: Readonly<Record<string, GraphValue>>,
): string {
  const [only] = block.parts
  if (only!.shape === block.shape) return gradients[only!.name]!.name
  const flat = tape.graph.integers([-1])
  const pieces = block.parts.map(({ name }) =>
    tape.graph.node('Reshape', [gradients[name]!.name, flat]),
  )
  return tape.graph.node('Concat', pieces, { axis: { int: 0 } })
}

/** The weighted sums of row losses of each batch, without gradients. */
export function evaluationGraph(spec: FitSpec, rows: FitRows, batchSize: number): OnnxModel {
  const outer = new GraphBuilder()
  const inputs = declareInputs(outer, spec, rows, batchSize)
  const blocks = planBlocks(spec.parameters)
  for (const { name, shape } of blocks) outer.input(INPUT.parameter(name), 'float32', shape)
  const parameters = splitBlocks(outer, blocks, INPUT.parameter)
  const body = new GraphBuilder('b_')
  const at = declareIteration(body)
  const loss = recordLoss(new Tape(body), spec, rows, batchSize, inputs, parameters, at)
  body.output(loss.sum, 'float32', [])
  const [losses] = outer.nodeOutputs('Loop', [INPUT.steps, ''], 1, {
    body: { graph: body.finish(`${spec.name} batch`) },
  })
  outer.output(losses!, 'float32', ['steps'], LOSSES)
  return { graph: outer.finish(`${spec.name} evaluation`) }
}

/** The loss and the objective's gradients on all rows at once. */
export function gradientGraph(spec: FitSpec, rows: FitRows): OnnxModel {
  const graph = new GraphBuilder()
  const inputs = declareInputs(graph, spec, rows, rows.rows)
  const parameters: Record<string, GraphValue> = {}
  for (const [name, { shape }] of Object.entries(spec.parameters)) {
    const input = graph.input(INPUT.parameter(name), 'float32', shape)
    parameters[name] = { name: input, shape, tracked: true }
  }
  const at = graph.constant({ type: 'int64', shape: [], data: BigInt64Array.of(0n) })
  const tape = new Tape(graph)
  const loss = recordLoss(tape, spec, rows, rows.rows, inputs, parameters, at)
  const gradients = objectiveGradients(tape, spec, parameters, loss)
  for (const [name, { shape }] of Object.entries(spec.parameters)) {
    graph.output(gradients[name]!.name, 'float32', shape, next(INPUT.parameter(name)))
  }
  graph.output(loss.sum, 'float32', [], LOSSES)
  return { graph: graph.finish(`${spec.name} gradient`) }
}

/** Declares a Loop body's first inputs and outputs; returns the name of the iteration number. */
function declareIteration(body: GraphBuilder): string {
  const at = body.input('b_iteration', 'int64', [])
  body.output(body.input('b_go', 'bool', []), 'bool', [], 'b_go_on')
  return at
}
