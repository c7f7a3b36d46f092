import type { Embeddings } from '../encoders/embeddings.ts'
import { GraphBuilder } from '../onnx/builder.ts'
import type { Family, GraphInput, HeadWeights, Pair } from './family.ts'
import { declareInput, type InputNames, tensorOf } from './linear-graph.ts'
import { linearLogits } from './linear-head.ts'
import { declareOutputs, doubles, tailOf } from './neighbours-graph.ts'

/** The column blocks that are compared with centres, in their order at the end of a row. */
export const KERNEL_BLOCKS = ['surface', 'meaning'] as const
export type KernelBlockName = (typeof KERNEL_BLOCKS)[number]

/** Gaussian kernels around centres: exp(-|x - c|^2 / width), each with one coefficient per output. */
interface Gaussians {
  readonly columns: number
  readonly width: number
  /** n x columns */
  readonly centres: Float32Array
  /** n x outputs */
  readonly coefficients: Float32Array
  readonly n: number
  readonly outputs: number
}

/** Gaussian kernels over a block of columns at the end of a row. */
interface Block extends Gaussians {
  /** number of columns after this block */
  readonly behind: number
  /** whether rows are scaled to norm 1, so that the distance depends on the cosine */
  readonly unit: boolean
}

/**
 * Kernel ridge regression of every model's score, over centres drawn from the training prompts (Williams and
 * Seeger 2001): linear in the words, Gaussian in the surface features of a prompt and in its sentence
 * embedding. A second stage (Wolpert 1992) is Gaussian in the first stage's predictions: outputs m to m + f -
 * 1 are its predictions of the f factors of the outcomes. winRate = (1 + z_s - z_w) / 2, clamped to [0, 1].
 * Tensors: `weights` [d, m + f], `bias` [m + f], `layout` [2] (columns of the two blocks at the end of a
 * row), `centres` [n, columns], `coefficients` [n, m + f], `width` [1] under `surface.` and `meaning.`, and
 * the same under `predicted.` with coefficients [n, m]. A block that was not chosen is absent, and without a
 * second stage f is 0.
 */
export const kernel: Family = {
  name: 'kernel',
  input: 'either',
  forward(weights, pair, embeddings) {
    const m = weights.models.length
    const linear = linearOf(weights)
    const head = { ...linear, link: 'success', ...pair } as const
    const blocks = blocksOf(weights, linear.outputs)
    const predicted = predictedOf(weights, linear.outputs)
    const winRate = new Float64Array(embeddings.rows)
    const quality = new Float64Array(embeddings.rows * m)
    const z = new Float64Array(linear.outputs)
    for (let row = 0; row < embeddings.rows; row++) {
      linearLogits(head, embeddings, row, z)
      for (const block of blocks) {
        const x = new Float64Array(block.columns)
        blockRow(embeddings, row, block.behind, block.unit, x)
        addGaussian(block, x, z)
      }
      if (predicted) addGaussian(predicted, z.slice(m), z)
      winRate[row] = clamp((1 + z[pair.strong]! - z[pair.weak]!) / 2)
      for (let k = 0; k < m; k++) quality[row * m + k] = clamp(z[k]!)
    }
    return { winRate, quality }
  },
  graph(weights, pair, input: GraphInput) {
    const builder = new GraphBuilder()
    const head = appendKernel(builder, weights, pair, declareInput(builder, input))
    declareOutputs(builder, head, weights.models.length)
    return { graph: builder.finish('weir_router') }
  },
}

/** Adds the head to a graph: double `winRate` [batch] and `quality` [batch, m]. */
export function appendKernel(
  builder: GraphBuilder,
  weights: HeadWeights,
  pair: Pair,
  input: InputNames,
): { winRate: string; quality: string } {
  const m = weights.models.length
  const { outputs } = linearOf(weights)
  let z = wide(builder, linearNode(builder, weights, input))
  for (const block of blocksOf(weights, outputs)) {
    z = builder.node('Add', [z, gaussianNode(builder, block, blockNode(builder, block, input))])
  }
  const predicted = predictedOf(weights, outputs)
  if (predicted) {
    const part = (from: number, to: number): string => {
      const bounds = [[from], [to], [1]].map((values) => builder.integers(values))
      return builder.node('Slice', [z, ...bounds])
    }
    z = builder.node('Add', [part(0, m), gaussianNode(builder, predicted, part(m, outputs))])
  }
  const one = (index: number): string => {
    const column = builder.node('Gather', [z, builder.integers([index])], { axis: { int: 1 } })
    return builder.node('Squeeze', [column, builder.integers([1])])
  }
  const within = (value: string): string => {
    const low = builder.node('Max', [value, doubles(builder, [0])])
    return builder.node('Min', [low, doubles(builder, [1])])
  }
  const gain = builder.node('Sub', [one(pair.strong), one(pair.weak)])
  const shifted = builder.node('Add', [gain, doubles(builder, [1])])
  const winRate = within(builder.node('Mul', [shifted, doubles(builder, [0.5])]))
  return { winRate, quality: within(z) }
}

const clamp = (value: number): number => Math.min(Math.max(value, 0), 1)

function linearOf(weights: HeadWeights) {
  const [dimension = 0, outputs = 0] = weights.tensors.weights?.shape ?? []
  return {
    outputs,
    dimension,
    weights: tensorOf(weights, 'weights', [dimension, outputs]).values,
    bias: tensorOf(weights, 'bias', [outputs]).values,
  }
}

function blocksOf(weights: HeadWeights, outputs: number): Block[] {
  const { values: layout } = tensorOf(weights, 'layout', [KERNEL_BLOCKS.length])
  return KERNEL_BLOCKS.flatMap((name, i): Block[] => {
    const gaussians = gaussianOf(weights, name, layout[i]!, outputs)
    const behind = layout.slice(i + 1).reduce((sum, each) => sum + each, 0)
    return gaussians ? [{ ...gaussians, behind, unit: name === 'meaning' }] : []
  })
}

const predictedOf = (weights: HeadWeights, outputs: number): Gaussians | undefined => {
  const m = weights.models.length
  return gaussianOf(weights, 'predicted', outputs - m, m)
}

function gaussianOf(
  weights: HeadWeights,
  name: string,
  columns: number,
  outputs: number,
): Gaussians | undefined {
  const n = weights.tensors[`${name}.centres`]?.shape[0]
  if (n === undefined) return undefined
  return {
    n,
    columns,
    outputs,
    width: tensorOf(weights, `${name}.width`, [1]).values[0]!,
    centres: tensorOf(weights, `${name}.centres`, [n, columns]).values,
    coefficients: tensorOf(weights, `${name}.coefficients`, [n, outputs]).values,
  }
}

/**
 * The `out.length` columns of a row that precede its last `behind` columns; scaled to norm 1 if `unit` is
 * set.
 */
export function blockRow(
  embeddings: Embeddings,
  row: number,
  behind: number,
  unit: boolean,
  out: Float64Array,
): void {
  const d = out.length
  const from = embeddings.dimension - behind - d
  out.fill(0)
  if (embeddings.kind === 'dense') {
    const start = row * embeddings.dimension + from
    for (let j = 0; j < d; j++) out[j] = embeddings.values[start + j]!
  } else {
    for (let j = embeddings.offsets[row]!; j < embeddings.offsets[row + 1]!; j++) {
      const place = embeddings.ids[j]! - from
      if (place >= 0 && place < d) out[place] = embeddings.weights[j]!
    }
  }
  if (!unit) return
  let squares = 0
  for (let j = 0; j < d; j++) squares += out[j]! * out[j]!
  const scale = 1 / Math.max(Math.sqrt(squares), 1e-12)
  for (let j = 0; j < d; j++) out[j]! *= scale
}

function addGaussian(gaussians: Gaussians, x: Float64Array, z: Float64Array): void {
  const { n, columns, outputs, centres, coefficients, width } = gaussians
  for (let i = 0; i < n; i++) {
    let apart = 0
    for (let j = 0; j < columns; j++) apart += (x[j]! - centres[i * columns + j]!) ** 2
    const near = Math.exp(-apart / width)
    for (let k = 0; k < outputs; k++) z[k]! += near * coefficients[i * outputs + k]!
  }
}

function linearNode(builder: GraphBuilder, weights: HeadWeights, input: InputNames): string {
  const head = linearOf(weights)
  const table = builder.floats(head.weights, [head.dimension, head.outputs], 'kernel_weights')
  const bias = builder.floats(head.bias, [head.outputs], 'kernel_bias')
  const [first = '', second = ''] = input.values
  if (input.kind === 'dense') return builder.node('Gemm', [first, table, bias])
  const rows = builder.node('Gather', [table, first], { axis: { int: 0 } })
  const factors = builder.node('Unsqueeze', [second, builder.integers([2])])
  const products = builder.node('Mul', [rows, factors])
  const sums = builder.node('ReduceSum', [products, builder.integers([1])], {
    keepdims: { int: 0 },
  })
  return builder.node('Add', [sums, bias])
}

/** A block's columns [batch, columns], in double precision. */
function blockNode(builder: GraphBuilder, block: Block, input: InputNames): string {
  const { columns, behind, unit } = block
  const tail = tailOf(builder, columns + behind, input)
  const bounds = [[0], [columns], [1]].map((values) => builder.integers(values))
  const x = wide(builder, behind === 0 ? tail : builder.node('Slice', [tail, ...bounds]))
  if (!unit) return x
  const length = builder.node('Sqrt', [squares(builder, x, 1)])
  return builder.node('Div', [x, builder.node('Max', [length, doubles(builder, [1e-12])])])
}

/** Gaussian kernels [batch, outputs] at double x [batch, columns], with |x - c|^2 = |x|^2 + |c|^2 - 2 x.c. */
function gaussianNode(builder: GraphBuilder, gaussians: Gaussians, x: string): string {
  const { n, columns, outputs, centres, coefficients, width } = gaussians
  const turned = builder.node('Transpose', [builder.floats(centres, [n, columns])], {
    perm: { ints: [1, 0] },
  })
  const c = wide(builder, turned)
  const sums = builder.node('Add', [squares(builder, x, 1), squares(builder, c, 0)])
  const cross = builder.node('Mul', [builder.node('MatMul', [x, c]), doubles(builder, [2])])
  const apart = builder.node('Sub', [sums, cross])
  const near = builder.node('Exp', [builder.node('Div', [apart, doubles(builder, [-width])])])
  return builder.node('MatMul', [near, wide(builder, builder.floats(coefficients, [n, outputs]))])
}

const wide = (builder: GraphBuilder, value: string): string =>
  builder.node('Cast', [value], { to: { int: 11 } })

const squares = (builder: GraphBuilder, value: string, axis: number): string =>
  builder.node('ReduceSumSquare', [value], { axes: { ints: [axis] }, keepdims: { int: 1 } })
