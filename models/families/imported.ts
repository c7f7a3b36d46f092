import type { Embeddings } from '../encoders/embeddings.ts'
import { GraphBuilder } from '../onnx/builder.ts'
import type { Family, GraphInput, HeadWeights, Pair, Tensor } from './family.ts'
import { declareInput, tensorOf } from './linear-graph.ts'
import { type Scores, sigmoid } from './linear-head.ts'

/**
 * What the outputs of a classifier that was trained elsewhere say of the pair; its encoder gives the outputs as
 * they are (logits).
 * - `classes`: one class per output; winRate = sum of value_k softmax(logits)_k, with a value of 1 where the class
 *   says that the strong model wins, 0 where the weak one does, and 1/2 for a tie. With one output there are two
 *   classes: sigmoid(logit) of the first, and the rest of the second.
 * - `range`: one output, a regression; winRate rises linearly from 0 at `weak` to 1 at `strong`, clipped.
 * - `models`: an output for each model of the head, quality = sigmoid(logit), winRate = (1 + q_strong - q_weak) / 2.
 */
export type ImportedHead =
  | { readonly kind: 'classes'; readonly values: readonly number[] }
  | { readonly kind: 'range'; readonly weak: number; readonly strong: number }
  | { readonly kind: 'models'; readonly outputs: readonly number[] }

const TENSORS = { classes: 'classes', range: 'range', models: 'outputs' } as const

/** The head as a family's weights. @param models of a head of kind `models`: in the order of its `outputs` */
export function importedWeights(models: readonly string[], head: ImportedHead): HeadWeights {
  const numbers =
    head.kind === 'classes'
      ? head.values
      : head.kind === 'range'
        ? [head.weak, head.strong]
        : head.outputs
  const tensor: Tensor = { shape: [numbers.length], values: Float32Array.from(numbers) }
  return { models, tensors: { [TENSORS[head.kind]]: tensor } }
}

function headOf(weights: HeadWeights): ImportedHead {
  const { tensors, models } = weights
  if (tensors.range) {
    const [weak = 0, strong = 1] = tensorOf(weights, 'range', [2]).values
    return { kind: 'range', weak, strong }
  }
  if (tensors.outputs) {
    return { kind: 'models', outputs: [...tensorOf(weights, 'outputs', [models.length]).values] }
  }
  const classes = tensors.classes?.shape[0] ?? 0
  return { kind: 'classes', values: [...tensorOf(weights, 'classes', [classes]).values] }
}

/** Reads the outputs of a classifier that was trained elsewhere (`weir import`); nothing is fitted. */
export const imported: Family = {
  name: 'imported',
  input: 'dense',
  forward: (weights, pair, embeddings) => scoreImported(headOf(weights), pair, embeddings),
  graph(weights, { strong, weak }, input: GraphInput) {
    const head = headOf(weights)
    const builder = new GraphBuilder()
    const logits = declareInput(builder, input).values[0]!
    const flat = (value: string): string => builder.node('Squeeze', [value, builder.integers([1])])
    if (head.kind === 'models') {
      const chosen = builder.node('Gather', [logits, builder.integers(head.outputs)], {
        axis: { int: 1 },
      })
      const quality = builder.node('Sigmoid', [chosen])
      const column = (index: number): string =>
        flat(builder.node('Gather', [quality, builder.integers([index])], { axis: { int: 1 } }))
      const gain = builder.node('Sub', [column(strong), column(weak)])
      const shifted = builder.node('Add', [gain, builder.scalar(1)])
      const winRate = builder.node('Mul', [shifted, builder.scalar(0.5)])
      builder.output(winRate, 'float32', ['batch'], 'win_rate')
      builder.output(quality, 'float32', ['batch', head.outputs.length], 'quality')
      return { graph: builder.finish('weir_router') }
    }
    const clip = (value: string): string =>
      builder.node('Min', [builder.node('Max', [value, builder.scalar(0)]), builder.scalar(1)])
    let rate: string
    if (head.kind === 'range') {
      const shifted = builder.node('Sub', [logits, builder.scalar(head.weak)])
      rate = builder.node('Div', [shifted, builder.scalar(head.strong - head.weak)])
    } else if (input.dimension === 1) {
      const [first = 0, second = 0] = head.values
      const part = builder.node('Mul', [
        builder.node('Sigmoid', [logits]),
        builder.scalar(first - second),
      ])
      rate = builder.node('Add', [part, builder.scalar(second)])
    } else {
      const shares = builder.node('Softmax', [logits], { axis: { int: 1 } })
      rate = builder.node('MatMul', [shares, builder.floats(head.values, [head.values.length, 1])])
    }
    builder.output(flat(clip(rate)), 'float32', ['batch'], 'win_rate')
    return { graph: builder.finish('weir_router') }
  },
}

function scoreImported(head: ImportedHead, { strong, weak }: Pair, embeddings: Embeddings): Scores {
  if (embeddings.kind !== 'dense') throw new TypeError('an imported head reads a dense encoder')
  const { rows, dimension: d, values } = embeddings
  const winRate = new Float64Array(rows)
  if (head.kind === 'models') {
    const m = head.outputs.length
    const quality = new Float64Array(rows * m)
    for (let row = 0; row < rows; row++) {
      head.outputs.forEach((output, k) => {
        quality[row * m + k] = sigmoid(values[row * d + output]!)
      })
      winRate[row] = (1 + quality[row * m + strong]! - quality[row * m + weak]!) / 2
    }
    return { winRate, quality }
  }
  for (let row = 0; row < rows; row++) {
    const logits = values.subarray(row * d, (row + 1) * d)
    const rate =
      head.kind === 'range'
        ? (logits[0]! - head.weak) / (head.strong - head.weak)
        : classValue(logits, head.values)
    winRate[row] = Math.min(1, Math.max(0, rate))
  }
  return { winRate }
}

/** The mean value of the classes, weighted by their probabilities. */
function classValue(logits: Float32Array, values: readonly number[]): number {
  if (logits.length === 1) {
    const first = sigmoid(logits[0]!)
    return first * values[0]! + (1 - first) * values[1]!
  }
  const top = logits.reduce((most, value) => Math.max(most, value), -Infinity)
  let sum = 0
  let mean = 0
  logits.forEach((logit, k) => {
    const share = Math.exp(logit - top)
    sum += share
    mean += share * values[k]!
  })
  return mean / sum
}
