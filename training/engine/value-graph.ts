import type { GraphBuilder } from '../../models/onnx/builder.ts'
import type { OnnxAttribute } from '../../models/onnx/model.ts'

/** A value in the graph under construction, with its static shape. */
export interface GraphValue {
  readonly name: string
  readonly shape: readonly number[]
  /** whether it depends on a parameter */
  readonly tracked: boolean
}

export interface ScaledValue {
  readonly value: GraphValue
  readonly factor: number
}

/** Writes ONNX nodes over values of known shape; gradients are built with it. */
export class ValueGraph {
  readonly graph: GraphBuilder
  private readonly scalars = new Map<number, string>()

  constructor(graph: GraphBuilder) {
    this.graph = graph
  }

  emit(
    op: string,
    inputs: readonly GraphValue[],
    shape: readonly number[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
  ): GraphValue {
    return this.emitNamed(
      op,
      inputs.map((input) => input.name),
      shape,
      attributes,
    )
  }

  /** a times b, broadcasting either one. */
  product(a: GraphValue, b: GraphValue): GraphValue {
    return this.emit('Mul', [a, b], broadcastShape(a.shape, b.shape))
  }

  sum(a: GraphValue, b: GraphValue): GraphValue {
    return this.emit('Add', [a, b], broadcastShape(a.shape, b.shape))
  }

  times(a: GraphValue, factor: number): GraphValue {
    return this.emitNamed('Mul', [a.name, this.scalar(factor)], a.shape)
  }

  expand(a: GraphValue, shape: readonly number[]): GraphValue {
    if (sameShape(a.shape, shape)) return a
    return this.emitNamed('Expand', [a.name, this.graph.integers(shape)], shape)
  }

  reduceSum(a: GraphValue, axes: readonly number[], shape: readonly number[]): GraphValue {
    const keep = shape.length === a.shape.length ? 1 : 0
    return this.emitNamed('ReduceSum', [a.name, this.graph.integers(axes)], shape, {
      keepdims: { int: keep },
    })
  }

  scalar(value: number): string {
    const known = this.scalars.get(value) ?? this.graph.scalar(value)
    this.scalars.set(value, known)
    return known
  }

  emitNamed(
    op: string,
    inputs: readonly string[],
    shape: readonly number[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
  ): GraphValue {
    return { name: this.graph.node(op, inputs, attributes), shape, tracked: false }
  }

  elementwise(op: string, a: GraphValue, b: GraphValue): GraphValue {
    if (!sameShape(broadcastShape(a.shape, b.shape), a.shape)) {
      throw new TypeError(`${op}: expected [${b.shape}] to broadcast onto [${a.shape}]`)
    }
    return this.emit(op, [a, b], a.shape)
  }

  gemm(a: GraphValue, b: GraphValue, ta: boolean, tb: boolean, term?: ScaledValue): GraphValue {
    const [rows, inner] = ta ? [a.shape[1]!, a.shape[0]!] : [a.shape[0]!, a.shape[1]!]
    const [depth, columns] = tb ? [b.shape[1]!, b.shape[0]!] : [b.shape[0]!, b.shape[1]!]
    if (inner !== depth) throw new TypeError(`matmul: [${a.shape}] does not fit [${b.shape}]`)
    const attributes = { transA: { int: Number(ta) }, transB: { int: Number(tb) } }
    if (!term) return this.emit('Gemm', [a, b], [rows, columns], attributes)
    const beta = { float: term.factor }
    return this.emit('Gemm', [a, b, term.value], [rows, columns], { ...attributes, beta })
  }

  reshape(a: GraphValue, shape: readonly number[]): GraphValue {
    return this.emitNamed('Reshape', [a.name, this.graph.integers(shape)], shape)
  }

  /** Sums a gradient over the axes along which an operand of shape `target` was broadcast to `full`. */
  reduceTo(gradient: GraphValue, full: readonly number[], target: readonly number[]): GraphValue {
    if (sameShape(full, target)) return gradient
    const lead = full.length - target.length
    const kept = [...full.map((_, axis) => (axis < lead ? 1 : target[axis - lead]!))]
    const axes = kept.flatMap((size, axis) => (size === full[axis] ? [] : [axis]))
    const wide = this.expand(gradient, full)
    if (lead === 0) return this.reduceSum(wide, axes, target)
    return this.reshape(this.reduceSum(wide, axes, kept), target)
  }
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis])
}

function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const length = Math.max(a.length, b.length)
  return Array.from({ length }, (_, axis) => {
    const left = a[axis - length + a.length] ?? 1
    const right = b[axis - length + b.length] ?? 1
    if (left !== right && left !== 1 && right !== 1) {
      throw new TypeError(`[${a}] and [${b}] do not broadcast`)
    }
    return Math.max(left, right)
  })
}
