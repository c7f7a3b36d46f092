import { WeirError } from '../../core/errors.ts'
import { GraphBuilder } from '../onnx/builder.ts'
import type { OnnxModel } from '../onnx/model.ts'
import type { GraphInput, HeadWeights, Tensor } from './family.ts'
import type { LinearHead } from './linear-head.ts'

/**
 * A linear head as an ONNX graph. Dense: one Gemm. Sparse: the weights of the row's ids are gathered,
 * weighted and summed, so the cost depends on the prompt's words and not on the size of the vocabulary.
 */
export function linearGraph(head: LinearHead, input: GraphInput): OnnxModel {
  const builder = new GraphBuilder()
  const { winRate, quality } = appendLinear(builder, head, declareInput(builder, input))
  builder.output(winRate, 'float32', ['batch'], 'win_rate')
  if (quality) builder.output(quality, 'float32', ['batch', head.outputs], 'quality')
  return { graph: builder.finish('weir_router') }
}

/** Adds the head to a graph: `winRate` [batch] and, except for a pair head, `quality` [batch, outputs]. */
export function appendLinear(
  builder: GraphBuilder,
  head: LinearHead,
  input: InputNames,
): { winRate: string; quality?: string } {
  const table = builder.floats(head.weights, [head.dimension, head.outputs], 'head_weights')
  const bias = builder.floats(head.bias, [head.outputs], 'head_bias')
  if (input.kind === 'dense') {
    return link(builder, head, builder.node('Gemm', [input.values[0]!, table, bias]))
  }
  const [ids = '', weights = ''] = input.values
  const rows = builder.node('Gather', [table, ids], { axis: { int: 0 } })
  const factors = builder.node('Unsqueeze', [weights, builder.integers([2])])
  const products = builder.node('Mul', [rows, factors])
  const sums = builder.node('ReduceSum', [products, builder.integers([1])], {
    keepdims: { int: 0 },
  })
  return link(builder, head, builder.node('Add', [sums, bias]))
}

function link(
  builder: GraphBuilder,
  head: LinearHead,
  logits: string,
): { winRate: string; quality?: string } {
  const column = (value: string, index: number): string => {
    const taken = builder.node('Gather', [value, builder.integers([index])], { axis: { int: 1 } })
    return builder.node('Squeeze', [taken, builder.integers([1])])
  }
  if (head.link === 'pair') {
    return { winRate: builder.node('Sigmoid', [column(logits, 0)]) }
  }
  const quality = builder.node('Sigmoid', [logits])
  if (head.link === 'bradley-terry') {
    const difference = builder.node('Sub', [column(logits, head.strong), column(logits, head.weak)])
    return { winRate: builder.node('Sigmoid', [difference]), quality }
  }
  const gain = builder.node('Sub', [column(quality, head.strong), column(quality, head.weak)])
  const shifted = builder.node('Add', [gain, builder.scalar(1)])
  return { winRate: builder.node('Mul', [shifted, builder.scalar(0.5)]), quality }
}

/**
 * Declares a family's input and returns the names of its values; a graph with several heads declares it once.
 */
export interface InputNames {
  readonly kind: GraphInput['kind']
  readonly dimension: number
  readonly values: readonly string[]
}

export function declareInput(builder: GraphBuilder, input: GraphInput): InputNames {
  const { kind, dimension } = input
  const values =
    kind === 'dense'
      ? [builder.input('embedding', 'float32', ['batch', dimension])]
      : [
          builder.input('ids', 'int64', ['batch', 'length']),
          builder.input('weights', 'float32', ['batch', 'length']),
        ]
  return { kind, dimension, values }
}

/** Returns a head's tensor by name, of the given shape; a missing tensor means a damaged bundle. */
export function tensorOf(weights: HeadWeights, name: string, shape: readonly number[]): Tensor {
  const tensor = weights.tensors[name]
  if (
    !tensor ||
    tensor.shape.length !== shape.length ||
    tensor.shape.some((n, i) => n !== shape[i])
  ) {
    throw new WeirError('bundle_invalid', {
      path: 'head',
      reason: `expected a tensor ${name} of shape [${shape}], got ${tensor ? `[${tensor.shape}]` : 'none'}`,
    })
  }
  return tensor
}
