import type { DenseEmbeddings } from '../encoders/embeddings.ts'
import { GraphBuilder } from '../onnx/builder.ts'
import type { OnnxModel } from '../onnx/model.ts'
import type { Family, GraphInput, HeadWeights, Pair } from './family.ts'
import { declareInput, tensorOf } from './linear-graph.ts'
import type { Scores } from './linear-head.ts'
import { type LinearHead, linkWinRate, sigmoid } from './linear-head.ts'

/**
 * A classifier with one hidden layer, h = max(0, W1 e + b1). Trained on outcomes: one success head per model
 * and the plug-in rule winRate = (1 + p_strong - p_weak) / 2 (CARROT, arXiv 2502.03261). Trained on
 * preferences alone: one head for the pair. Tensors: `hidden` [d, width], `hidden_bias` [width], `weights`
 * [width, outputs], `bias` [outputs]; one output means a pair head.
 */
export const mlp: Family = {
  name: 'mlp',
  input: 'dense',

  forward(weights, pair, embeddings): Scores {
    if (embeddings.kind !== 'dense') throw new TypeError('mlp reads dense embeddings')
    const { layer, width, head } = parts(weights, pair)
    const { outputs } = head
    const winRate = new Float64Array(embeddings.rows)
    const quality = head.link === 'pair' ? undefined : new Float64Array(winRate.length * outputs)
    const hidden = new Float64Array(width)
    const logits = new Float64Array(outputs)
    for (let row = 0; row < embeddings.rows; row++) {
      activate(embeddings, row, layer, hidden)
      for (let k = 0; k < outputs; k++) logits[k] = head.bias[k]!
      for (let i = 0; i < width; i++) {
        const value = hidden[i]!
        for (let k = 0; k < outputs; k++) logits[k]! += value * head.weights[i * outputs + k]!
      }
      if (quality)
        for (let k = 0; k < outputs; k++) quality[row * outputs + k] = sigmoid(logits[k]!)
      winRate[row] = linkWinRate(head, logits)
    }
    return quality ? { winRate, quality } : { winRate }
  },

  /**
   * Double precision: in single precision, a wide layer's sums may differ from `forward` by more than 1e-6.
   */
  graph(weights, pair, input: GraphInput): OnnxModel {
    if (input.kind !== 'dense') throw new TypeError('mlp reads dense embeddings')
    const { layer, width, head } = parts(weights, pair)
    const builder = new GraphBuilder()
    const wide = (value: string): string => builder.node('Cast', [value], { to: { int: DOUBLE } })
    const floats = (values: Float32Array, shape: readonly number[], name: string): string =>
      wide(builder.floats(values, shape, name))
    const [embedding = ''] = declareInput(builder, input).values
    const hidden = builder.node('Relu', [
      builder.node('Gemm', [
        wide(embedding),
        floats(layer.weights, [input.dimension, width], 'hidden_weights'),
        floats(layer.bias, [width], 'hidden_bias'),
      ]),
    ])
    const logits = builder.node('Gemm', [
      hidden,
      floats(head.weights, [width, head.outputs], 'head_weights'),
      floats(head.bias, [head.outputs], 'head_bias'),
    ])
    const chances = builder.node('Sigmoid', [logits])
    const column = (index: number): string => {
      const taken = builder.node('Gather', [chances, builder.integers([index])], {
        axis: { int: 1 },
      })
      return builder.node('Squeeze', [taken, builder.integers([1])])
    }
    const narrow = (value: string): string => builder.node('Cast', [value], { to: { int: FLOAT } })
    if (head.link === 'pair') {
      builder.output(narrow(column(0)), 'float32', ['batch'], 'win_rate')
    } else {
      const gain = builder.node('Sub', [column(head.strong), column(head.weak)])
      const half = wide(builder.scalar(0.5))
      const scaled = builder.node('Mul', [gain, half])
      builder.output(narrow(builder.node('Add', [scaled, half])), 'float32', ['batch'], 'win_rate')
      builder.output(narrow(chances), 'float32', ['batch', head.outputs], 'quality')
    }
    return { graph: builder.finish('weir_router') }
  },
}

/** ONNX element type numbers. */
const [FLOAT, DOUBLE] = [1, 11]

interface Layer {
  /** d x width, row-major */
  readonly weights: Float32Array
  readonly bias: Float32Array
}

function activate(
  { dimension, values }: DenseEmbeddings,
  row: number,
  { weights, bias }: Layer,
  hidden: Float64Array,
): void {
  const width = hidden.length
  for (let i = 0; i < width; i++) hidden[i] = bias[i]!
  for (let j = 0; j < dimension; j++) {
    const value = values[row * dimension + j]!
    for (let i = 0; i < width; i++) hidden[i]! += value * weights[j * width + i]!
  }
  for (let i = 0; i < width; i++) hidden[i] = Math.max(0, hidden[i]!)
}

/** The hidden layer, and the linear head on its outputs. */
function parts(
  weights: HeadWeights,
  pair: Pair,
): { readonly layer: Layer; readonly width: number; readonly head: LinearHead } {
  const [dimension = 0, width = 0] = weights.tensors.hidden?.shape ?? []
  const outputs = weights.tensors.weights?.shape[1] ?? 0
  return {
    width,
    layer: {
      weights: tensorOf(weights, 'hidden', [dimension, width]).values,
      bias: tensorOf(weights, 'hidden_bias', [width]).values,
    },
    head: {
      link: outputs === 1 ? 'pair' : 'success',
      outputs,
      dimension: width,
      weights: tensorOf(weights, 'weights', [width, outputs]).values,
      bias: tensorOf(weights, 'bias', [outputs]).values,
      ...pair,
    },
  }
}
