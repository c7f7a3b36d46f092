import type { GraphInput } from '../family.ts'
import type { LinearHead } from '../linear-head.ts'
import { GraphBuilder } from '../onnx/builder.ts'
import type { OnnxModel } from '../onnx/model.ts'

/**
 * A linear head as an ONNX graph. Dense: one Gemm. Sparse: the weights of the row's ids are gathered,
 * weighted and summed, so that a prompt costs its own words and not the whole vocabulary.
 */
export function linearGraph(head: LinearHead, input: GraphInput): OnnxModel {
  const builder = new GraphBuilder()
  const table = builder.floats(head.weights, [head.dimension, head.outputs], 'head_weights')
  const bias = builder.floats(head.bias, [head.outputs], 'head_bias')
  let logits: string
  if (input.kind === 'dense') {
    const embedding = builder.input('embedding', 'float32', ['batch', head.dimension])
    logits = builder.node('Gemm', [embedding, table, bias])
  } else {
    const ids = builder.input('ids', 'int64', ['batch', 'length'])
    const weights = builder.input('weights', 'float32', ['batch', 'length'])
    const rows = builder.node('Gather', [table, ids], { axis: { int: 0 } })
    const factors = builder.node('Unsqueeze', [weights, builder.integers([2])])
    const products = builder.node('Mul', [rows, factors])
    const sums = builder.node('ReduceSum', [products, builder.integers([1])], {
      keepdims: { int: 0 },
    })
    logits = builder.node('Add', [sums, bias])
  }
  appendLink(builder, head, logits)
  return { graph: builder.finish('weir_router') }
}

/** From logits [batch, outputs] to `win_rate` [batch] and `quality` [batch, outputs]. */
function appendLink(builder: GraphBuilder, head: LinearHead, logits: string): void {
  const column = (value: string, index: number): string => {
    const taken = builder.node('Gather', [value, builder.integers([index])], { axis: { int: 1 } })
    return builder.node('Squeeze', [taken, builder.integers([1])])
  }
  if (head.link === 'pair') {
    builder.output(builder.node('Sigmoid', [column(logits, 0)]), 'float32', ['batch'], 'win_rate')
    return
  }
  const quality = builder.node('Sigmoid', [logits])
  let winRate: string
  if (head.link === 'bradley-terry') {
    const difference = builder.node('Sub', [column(logits, head.strong), column(logits, head.weak)])
    winRate = builder.node('Sigmoid', [difference])
  } else {
    const gain = builder.node('Sub', [column(quality, head.strong), column(quality, head.weak)])
    const shifted = builder.node('Add', [gain, builder.scalar(1)])
    winRate = builder.node('Mul', [shifted, builder.scalar(0.5)])
  }
  builder.output(winRate, 'float32', ['batch'], 'win_rate')
  builder.output(quality, 'float32', ['batch', head.outputs], 'quality')
}
