import type { OnnxAttribute } from '../../models/onnx/model.ts'
import type { Ops } from './engine.ts'
import { type GraphValue, type ScaledValue, ValueGraph } from './value-graph.ts'

/** One recorded operation: `backward` turns the gradient of its output into those of its inputs. */
export interface TapeEntry {
  readonly output: GraphValue
  readonly inputs: readonly GraphValue[]
  /** a gradient may be smaller than its value if broadcasting restores the shape */
  readonly backward: Backward
  /** whether `backward` adds the given terms to the gradients of its inputs at no extra cost */
  readonly addsTerms: boolean
}

type Backward = (
  gradient: GraphValue,
  terms: readonly (ScaledValue | undefined)[],
) => readonly GraphValue[]

/** Tables with at most this many rows are gathered as one-hot times table, so that the gradient is a Gemm. */
const ONE_HOT_ROWS = 512
/** Keeps a zero row from dividing by zero, as in torch.nn.functional.normalize. */
export const MINIMUM_NORM = 1e-12

/** Records a loss: each operation becomes ONNX nodes immediately and leaves an entry to differentiate. */
export class Tape extends ValueGraph implements Ops<GraphValue> {
  readonly entries: TapeEntry[] = []
  private readonly oneHots = new Map<string, GraphValue>()
  private readonly identities = new Map<number, string>()

  matmul(
    a: GraphValue,
    b: GraphValue,
    options: { transposeA?: boolean; transposeB?: boolean } = {},
  ): GraphValue {
    const { transposeA: ta = false, transposeB: tb = false } = options
    const product = this.gemm(a, b, ta, tb)
    const backward: Backward = (gradient, [termA, termB]) => {
      const g = this.expand(gradient, product.shape)
      const forA = (): GraphValue =>
        ta ? this.gemm(b, g, tb, true, termA) : this.gemm(g, b, false, !tb, termA)
      const forB = (): GraphValue =>
        tb ? this.gemm(g, a, true, ta, termB) : this.gemm(a, g, !ta, false, termB)
      return [a.tracked ? forA() : a, b.tracked ? forB() : b]
    }
    return this.record(product, [a, b], backward, true)
  }

  add(a: GraphValue, b: GraphValue): GraphValue {
    return this.record(this.elementwise('Add', a, b), [a, b], (g) => [
      g,
      this.reduceTo(g, a.shape, b.shape),
    ])
  }

  sub(a: GraphValue, b: GraphValue): GraphValue {
    return this.record(this.elementwise('Sub', a, b), [a, b], (g) => [
      g,
      b.tracked ? this.times(this.reduceTo(g, a.shape, b.shape), -1) : b,
    ])
  }

  mul(a: GraphValue, b: GraphValue): GraphValue {
    return this.record(this.elementwise('Mul', a, b), [a, b], (g) => [
      a.tracked ? this.product(g, b) : a,
      b.tracked ? this.reduceTo(this.product(g, a), a.shape, b.shape) : b,
    ])
  }

  scale(a: GraphValue, factor: number): GraphValue {
    return this.record(this.times(a, factor), [a], (g) => [this.times(g, factor)])
  }

  sigmoid(a: GraphValue): GraphValue {
    const y = this.emit('Sigmoid', [a], a.shape)
    return this.record(y, [a], (g) => {
      const slope = this.elementwise('Sub', y, this.product(y, y))
      return [this.product(g, slope)]
    })
  }

  tanh(a: GraphValue): GraphValue {
    const y = this.emit('Tanh', [a], a.shape)
    return this.record(y, [a], (g) => {
      const slope = this.emitNamed('Sub', [this.scalar(1), this.product(y, y).name], a.shape)
      return [this.product(g, slope)]
    })
  }

  relu(a: GraphValue): GraphValue {
    const y = this.emit('Relu', [a], a.shape)
    return this.record(y, [a], (g) => [this.product(g, this.emit('Sign', [y], a.shape))])
  }

  /** max(a, 0) + log(1 + e^-|a|): ONNX's own Softplus loses its tail in float32. */
  softplus(a: GraphValue): GraphValue {
    const decay = this.emit(
      'Exp',
      [this.emit('Neg', [this.emit('Abs', [a], a.shape)], a.shape)],
      a.shape,
    )
    const tail = this.emit(
      'Log',
      [this.emitNamed('Add', [decay.name, this.scalar(1)], a.shape)],
      a.shape,
    )
    const y = this.elementwise('Add', this.emit('Relu', [a], a.shape), tail)
    return this.record(y, [a], (g) => [this.product(g, this.emit('Sigmoid', [a], a.shape))])
  }

  sumLast(a: GraphValue): GraphValue {
    const y = this.reduceSum(a, [a.shape.length - 1], a.shape.slice(0, -1))
    return this.record(y, [a], (g) => [this.reshape(g, [...g.shape, 1])])
  }

  gatherRows(table: GraphValue, index: GraphValue): GraphValue {
    const [rows, width] = [table.shape[0]!, table.shape[1]!]
    const shape = [index.shape[0]!, width]
    if (rows <= ONE_HOT_ROWS) return this.matmul(this.oneHot(index, rows), table)
    const y = this.emit('Gather', [table, index], shape)
    return this.record(y, [table], (gradient) => {
      const zeros = this.emitNamed(
        'ConstantOfShape',
        [this.graph.integers(table.shape)],
        table.shape,
      )
      const long = this.emitNamed('Cast', [index.name], index.shape, { to: { int: 7 } })
      const at = this.reshape(long, [...index.shape, 1])
      const sum: Record<string, OnnxAttribute> = { reduction: { string: 'add' } }
      return [this.emit('ScatterND', [zeros, at, this.expand(gradient, shape)], table.shape, sum)]
    })
  }

  gatherDifference(table: GraphValue, a: GraphValue, b: GraphValue): GraphValue {
    const rows = table.shape[0]!
    if (rows > ONE_HOT_ROWS) return this.sub(this.gatherRows(table, a), this.gatherRows(table, b))
    const signs = this.elementwise('Sub', this.oneHot(a, rows), this.oneHot(b, rows))
    return this.matmul(signs, table)
  }

  normaliseRows(a: GraphValue): GraphValue {
    const column = [...a.shape.slice(0, -1), 1]
    const axes: Record<string, OnnxAttribute> = { axes: { ints: [a.shape.length - 1] } }
    const length = this.emit('ReduceL2', [a], column, axes)
    const norm = this.emitNamed('Max', [length.name, this.scalar(MINIMUM_NORM)], column)
    const y = this.elementwise('Div', a, norm)
    return this.record(y, [a], (g) => {
      const along = this.reduceSum(this.product(g, y), [a.shape.length - 1], column)
      const across = this.elementwise('Sub', this.expand(g, a.shape), this.product(y, along))
      return [this.elementwise('Div', across, norm)]
    })
  }

  asColumn(a: GraphValue): GraphValue {
    return this.record(this.reshape(a, [...a.shape, 1]), [a], (g) => [
      this.reshape(this.expand(g, [...a.shape, 1]), a.shape),
    ])
  }

  columnAt(a: GraphValue, k: number): GraphValue {
    const at = this.graph.constant({ type: 'int64', shape: [], data: BigInt64Array.of(BigInt(k)) })
    const y = this.emitNamed('Gather', [a.name, at], [a.shape[0]!], { axis: { int: 1 } })
    return this.record(y, [a], (g) => {
      const place = new Float32Array(a.shape[1]!)
      place[k] = 1
      const only = { name: this.graph.floats(place, [1, place.length]), shape: [1, place.length] }
      return [this.product(this.reshape(g, [...g.shape, 1]), { ...only, tracked: false })]
    })
  }

  private record(
    output: GraphValue,
    inputs: readonly GraphValue[],
    backward: Backward,
    addsTerms = false,
  ): GraphValue {
    if (!inputs.some((input) => input.tracked)) return output
    const tracked = { ...output, tracked: true }
    this.entries.push({ output: tracked, inputs, backward, addsTerms })
    return tracked
  }

  /** Rows of the identity: copying them is many times faster than the OneHot operator. */
  private oneHot(index: GraphValue, depth: number): GraphValue {
    const key = `${index.name} ${depth}`
    const known = this.oneHots.get(key)
    if (known) return known
    const identity = this.identities.get(depth) ?? this.identity(depth)
    const shape = [index.shape[0]!, depth]
    const made = this.emitNamed('Gather', [identity, index.name], shape)
    this.oneHots.set(key, made)
    return made
  }

  private identity(size: number): string {
    const values = new Float32Array(size * size)
    for (let i = 0; i < size; i++) values[i * size + i] = 1
    const name = this.graph.floats(values, [size, size])
    this.identities.set(size, name)
    return name
  }
}
