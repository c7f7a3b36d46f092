import type { Embeddings } from '../embeddings.ts'
import type { Family, GraphInput, HeadWeights } from '../family.ts'
import { linearLogits } from '../linear-head.ts'
import { GraphBuilder } from '../onnx/builder.ts'
import { declareInput, type InputNames } from './graph-input.ts'
import { declareOutputs, doubles, tailOf } from './neighbours-graph.ts'
import { tensorOf } from './tensor-of.ts'

/** The blocks of columns that are compared with centres, in the order they stand at a row's end. */
export const KERNEL_BLOCKS = ['surface', 'meaning'] as const
export type KernelBlockName = (typeof KERNEL_BLOCKS)[number]

/** Gaussian bumps around centres: exp(-|x - c|^2 / width), each with a coefficient a model. */
interface Block {
  readonly columns: number
  /** columns behind the block's own */
  readonly behind: number
  /** rows are compared at norm 1, as cosines would */
  readonly unit: boolean
  readonly width: number
  /** n x columns */
  readonly centres: Float32Array
  /** n x m */
  readonly coefficients: Float32Array
  readonly n: number
}

/**
 * Kernel ridge regression of every model's score, over centres drawn from the training prompts (Williams and
 * Seeger 2001): linear in the words, Gaussian in what can be seen of a prompt and in its sentence embedding.
 * winRate = (1 + z_s - z_w) / 2, within [0, 1]. Tensors: `weights` [d, m], `bias` [m], `layout` [2] (columns of
 * the two blocks at a row's end), and `centres` [n, columns], `coefficients` [n, m], `width` [1] under
 * `surface.` and `meaning.`; a block that was not chosen is absent.
 */
export const kernel: Family = {
  name: 'kernel',
  input: 'either',
  forward(weights, pair, embeddings) {
    const m = weights.models.length
    const head = { ...linearOf(weights), link: 'success', ...pair } as const
    const blocks = blocksOf(weights)
    const winRate = new Float64Array(embeddings.rows)
    const quality = new Float64Array(embeddings.rows * m)
    const z = new Float64Array(m)
    for (let row = 0; row < embeddings.rows; row++) {
      linearLogits(head, embeddings, row, z)
      for (const block of blocks) addBlock(block, embeddings, row, z)
      winRate[row] = clamp((1 + z[pair.strong]! - z[pair.weak]!) / 2)
      for (let k = 0; k < m; k++) quality[row * m + k] = clamp(z[k]!)
    }
    return { winRate, quality }
  },
  graph(weights, pair, input: GraphInput) {
    const m = weights.models.length
    const builder = new GraphBuilder()
    const names = declareInput(builder, input)
    const wide = (value: string): string => builder.node('Cast', [value], { to: { int: 11 } })
    let z = wide(linearNode(builder, weights, names))
    for (const block of blocksOf(weights)) {
      z = builder.node('Add', [z, blockNode(builder, block, m, names)])
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
    declareOutputs(builder, { winRate, quality: within(z) }, m)
    return { graph: builder.finish('weir_router') }
  },
}

const clamp = (value: number): number => Math.min(Math.max(value, 0), 1)

function linearOf(weights: HeadWeights) {
  const outputs = weights.models.length
  const [dimension = 0] = weights.tensors.weights?.shape ?? []
  return {
    outputs,
    dimension,
    weights: tensorOf(weights, 'weights', [dimension, outputs]).values,
    bias: tensorOf(weights, 'bias', [outputs]).values,
  }
}

function blocksOf(weights: HeadWeights): Block[] {
  const m = weights.models.length
  const { values: layout } = tensorOf(weights, 'layout', [KERNEL_BLOCKS.length])
  return KERNEL_BLOCKS.flatMap((name, i): Block[] => {
    const n = weights.tensors[`${name}.centres`]?.shape[0]
    if (n === undefined) return []
    const columns = layout[i]!
    return [
      {
        n,
        columns,
        behind: layout.slice(i + 1).reduce((sum, each) => sum + each, 0),
        unit: name === 'meaning',
        width: tensorOf(weights, `${name}.width`, [1]).values[0]!,
        centres: tensorOf(weights, `${name}.centres`, [n, columns]).values,
        coefficients: tensorOf(weights, `${name}.coefficients`, [n, m]).values,
      },
    ]
  })
}

/** A row's `out.length` columns before its last `behind`, at norm 1 where `unit`. */
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

function addBlock(block: Block, embeddings: Embeddings, row: number, z: Float64Array): void {
  const { n, columns, centres, coefficients, width } = block
  const x = new Float64Array(columns)
  blockRow(embeddings, row, block.behind, block.unit, x)
  for (let i = 0; i < n; i++) {
    let apart = 0
    for (let j = 0; j < columns; j++) apart += (x[j]! - centres[i * columns + j]!) ** 2
    const near = Math.exp(-apart / width)
    for (let k = 0; k < z.length; k++) z[k]! += near * coefficients[i * z.length + k]!
  }
}

function linearNode(builder: GraphBuilder, weights: HeadWeights, input: InputNames): string {
  const head = linearOf(weights)
  const table = builder.floats(head.weights, [head.dimension, head.outputs], 'head_weights')
  const bias = builder.floats(head.bias, [head.outputs], 'head_bias')
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

/** |x - c|^2 as |x|^2 + |c|^2 - 2 x.c, in double precision. */
function blockNode(builder: GraphBuilder, block: Block, m: number, input: InputNames): string {
  const { n, columns, behind, centres, coefficients, width } = block
  const wide = (value: string): string => builder.node('Cast', [value], { to: { int: 11 } })
  const squares = (value: string, axis: number): string =>
    builder.node('ReduceSumSquare', [value], { axes: { ints: [axis] }, keepdims: { int: 1 } })
  const tail = tailOf(builder, columns + behind, input)
  const bounds = [[0], [columns], [1]].map((values) => builder.integers(values))
  let x = wide(behind === 0 ? tail : builder.node('Slice', [tail, ...bounds]))
  if (block.unit) {
    const length = builder.node('Sqrt', [squares(x, 1)])
    x = builder.node('Div', [x, builder.node('Max', [length, doubles(builder, [1e-12])])])
  }
  const turned = builder.node('Transpose', [builder.floats(centres, [n, columns])], {
    perm: { ints: [1, 0] },
  })
  const c = wide(turned)
  const sums = builder.node('Add', [squares(x, 1), squares(c, 0)])
  const cross = builder.node('Mul', [builder.node('MatMul', [x, c]), doubles(builder, [2])])
  const apart = builder.node('Sub', [sums, cross])
  const near = builder.node('Exp', [builder.node('Div', [apart, doubles(builder, [-width])])])
  return builder.node('MatMul', [near, wide(builder.floats(coefficients, [n, m]))])
}
