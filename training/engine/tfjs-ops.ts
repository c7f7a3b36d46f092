import type { Ops } from './engine.ts'
import { MINIMUM_NORM } from './tape.ts'
import type { Tf, TfTensor } from './tfjs-loader.ts'

/** The operations of a loss on TensorFlow.js, differentiated by its autodiff. */
export function tfjsOps(tf: Tf): Ops<TfTensor> {
  /** WASM lacks the kernel of gather's gradient; one-hot times table needs none. */
  const oneHot = (index: TfTensor, depth: number): TfTensor =>
    tf.cast(tf.oneHot(index as ReturnType<Tf['tensor1d']>, depth), 'float32')

  const softplus = tf.customGrad((x, save) => {
    const a = x as TfTensor
    ;(save as (saved: TfTensor[]) => void)([a])
    return {
      value: tf.add(tf.relu(a), tf.log(tf.add(tf.exp(tf.neg(tf.abs(a))), 1))),
      gradFunc: (g: TfTensor, saved: TfTensor[]) => tf.mul(g, tf.sigmoid(saved[0]!)),
    }
  })

  const normaliseRows = tf.customGrad((x, save) => {
    const a = x as TfTensor
    const norm = tf.maximum(tf.sqrt(tf.sum(tf.square(a), -1, true)), MINIMUM_NORM)
    const value = tf.div(a, norm)
    ;(save as (saved: TfTensor[]) => void)([value, norm])
    return {
      value,
      gradFunc: (g: TfTensor, saved: TfTensor[]) => {
        const [y, length] = [saved[0]!, saved[1]!]
        return tf.div(tf.sub(g, tf.mul(y, tf.sum(tf.mul(g, y), -1, true))), length)
      },
    }
  })

  return {
    matmul: (a, b, { transposeA = false, transposeB = false } = {}) =>
      tf.matMul(a, b, transposeA, transposeB),
    add: (a, b) => tf.add(a, b),
    sub: (a, b) => tf.sub(a, b),
    mul: (a, b) => tf.mul(a, b),
    scale: (a, factor) => tf.mul(a, factor),
    sigmoid: (a) => tf.sigmoid(a),
    tanh: (a) => tf.tanh(a),
    relu: (a) => tf.relu(a),
    softplus: (a) => softplus(a),
    sumLast: (a) => tf.sum(a, -1),
    gatherRows: (table, index) => tf.matMul(oneHot(index, table.shape[0]!), table),
    gatherDifference: (table, a, b) => {
      const rows = table.shape[0]!
      return tf.matMul(tf.sub(oneHot(a, rows), oneHot(b, rows)), table)
    },
    normaliseRows: (a) => normaliseRows(a),
    asColumn: (a) => tf.expandDims(a, -1),
    columnAt: (a, k) => tf.reshape(tf.slice(a, [0, k], [a.shape[0]!, 1]), [a.shape[0]!]),
  }
}
