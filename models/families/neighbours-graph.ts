import type { GraphBuilder } from '../onnx/builder.ts'
import type { Pair } from './family.ts'
import type { InputNames } from './linear-graph.ts'
import type { Neighbours } from './neighbours.ts'

/** Cosines [batch, n] between the input's last d columns and the stored rows, in double precision. */
export function cosines(builder: GraphBuilder, held: Neighbours, input: InputNames): string {
  const tail = builder.node('Cast', [tailOf(builder, held.d, input)], { to: { int: 11 } })
  const length = builder.node('ReduceL2', [tail], { axes: { ints: [1] }, keepdims: { int: 1 } })
  const unit = builder.node('Div', [tail, builder.node('Max', [length, doubles(builder, [1e-12])])])
  const rows = builder.floats(held.rows, [held.n, held.d])
  const turned = builder.node('Transpose', [rows], { perm: { ints: [1, 0] } })
  return builder.node('MatMul', [unit, builder.node('Cast', [turned], { to: { int: 11 } })])
}

/** Computes `quality` [batch, m] and `win_rate` [batch] from weighted scores, as double values. */
export function weighScores(
  builder: GraphBuilder,
  held: Neighbours,
  pair: Pair,
  weight: string,
  prior: string,
): { winRate: string; quality: string } {
  const { n, m } = held
  const scores = builder.node('Cast', [builder.floats(held.scores, [n, m])], { to: { int: 11 } })
  const base = builder.node('Cast', [builder.floats(held.base, [1, m])], { to: { int: 11 } })
  const sum = builder.node('Add', [
    builder.node('MatMul', [weight, scores]),
    builder.node('Mul', [prior, base]),
  ])
  const mass = builder.node('ReduceSum', [weight, builder.integers([1])], { keepdims: { int: 1 } })
  const quality = builder.node('Div', [sum, builder.node('Add', [mass, prior])])
  const one = (index: number): string => {
    const column = builder.node('Gather', [quality, builder.integers([index])], {
      axis: { int: 1 },
    })
    return builder.node('Squeeze', [column, builder.integers([1])])
  }
  const gain = builder.node('Sub', [one(pair.strong), one(pair.weak)])
  const shifted = builder.node('Add', [gain, doubles(builder, [1])])
  return { winRate: builder.node('Mul', [shifted, doubles(builder, [0.5])]), quality }
}

/** Declares cosines and kernel weights [batch, n] of the stored rows, in row order, as double values. */
export function declareNeighbours(
  builder: GraphBuilder,
  values: { readonly similarity: string; readonly weight: string },
  rows: number,
): void {
  for (const key of ['similarity', 'weight'] as const) {
    builder.outputAs(values[key], 'float64', ['batch', rows], NEIGHBOUR_OUTPUTS[key])
  }
}

/** Declares `win_rate` and `quality` from double values. */
export function declareOutputs(
  builder: GraphBuilder,
  outputs: { readonly winRate: string; readonly quality: string },
  models: number,
): void {
  const narrow = (value: string): string => builder.node('Cast', [value], { to: { int: 1 } })
  builder.output(narrow(outputs.winRate), 'float32', ['batch'], 'win_rate')
  builder.output(narrow(outputs.quality), 'float32', ['batch', models], 'quality')
}

export function doubles(builder: GraphBuilder, values: readonly number[]): string {
  const data = Float64Array.from(values)
  return builder.constant({ type: 'float64', shape: [values.length], data })
}

/** Scatters sparse rows into [batch, d + 1]; ids outside the tail go to the last column, which is dropped. */
export function tailOf(
  builder: GraphBuilder,
  d: number,
  { kind, dimension, values }: InputNames,
): string {
  const slice = (value: string, from: number, to: number): string =>
    builder.node('Slice', [
      value,
      builder.integers([from]),
      builder.integers([to]),
      builder.integers([1]),
    ])
  if (kind === 'dense')
    return d === dimension ? values[0]! : slice(values[0]!, dimension - d, dimension)
  const [ids = '', weights = ''] = values
  const shifted = builder.node('Sub', [ids, builder.integers([dimension - d])])
  const inside = builder.node('GreaterOrEqual', [shifted, builder.integers([0])])
  const place = builder.node('Where', [inside, shifted, builder.integers([d])])
  const shape = builder.node('Shape', [ids])
  const batch = builder.node('Gather', [shape, builder.integers([0])], { axis: { int: 0 } })
  const size = builder.node('Concat', [batch, builder.integers([d + 1])], { axis: { int: 0 } })
  const zeros = builder.node('ConstantOfShape', [size], {
    value: { tensor: { type: 'float32', shape: [1], data: new Float32Array(1) } },
  })
  const filled = builder.node('ScatterElements', [zeros, place, weights], {
    axis: { int: 1 },
    reduction: { string: 'add' },
  })
  return slice(filled, 0, d)
}

/**
 * Graph outputs of a head that uses training rows, float64 [n, rows] each: the rows' cosines and weights.
 * Only `explain` fetches them; they add no cost to scoring, which computes these values anyway.
 */
export const NEIGHBOUR_OUTPUTS = {
  similarity: 'neighbour_similarity',
  weight: 'neighbour_weight',
} as const
