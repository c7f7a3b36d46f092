import type { Tensor } from '../../models/families/family.ts'
import { BETA1, BETA2, stepSchedule } from './adam.ts'
import { type Batches, MINIMUM_WEIGHT, meanLoss, planBatches } from './batches.ts'
import type { Engine, FitData, FitOptions, FitResult, FitRows, FitSpec, Ops } from './engine.ts'
import { fitFingerprint, runEpochs } from './epochs.ts'
import { MINIMUM_NORM } from './tape.ts'
import {
  type LoadedTfjs,
  loadTfjs,
  type Tf,
  type TfScalar,
  type TfTensor,
  type TfVariable,
} from './tfjs-loader.ts'

const EVALUATION_BATCH = 1024

type Variables = Readonly<Record<string, TfVariable>>
type RowTensors = Readonly<Record<string, { column: TfTensor; table?: TfTensor }>>

/** Trains on TensorFlow.js, batch by batch on the caller's thread: the reference for the onnx engine. */
export async function createTfjsEngine(loaded?: LoadedTfjs): Promise<Engine> {
  const { tf, backend } = loaded ?? (await loadTfjs())
  return {
    name: 'tfjs',
    fit: (spec, data, options) => fitWith(tf, backend, spec, data, options),
    gradients: async (spec, rows) => gradients(tf, spec, rows),
    close: async () => {},
  }
}

async function fitWith(
  tf: Tf,
  backend: string,
  spec: FitSpec,
  data: FitData,
  options: FitOptions,
): Promise<FitResult> {
  const { train, validation } = data
  const variables = createVariables(tf, spec)
  const names = Object.keys(spec.parameters)
  const zeros = (name: string): TfVariable => tf.variable(tf.zerosLike(variables[name]!))
  const moments = names.map((name) => ({ first: zeros(name), second: zeros(name) }))
  const states = names.flatMap((name, i): [string, TfVariable][] => [
    [`p:${name}`, variables[name]!],
    [`m:${name}`, moments[i]!.first],
    [`v:${name}`, moments[i]!.second],
  ])
  const trainTensors = rowTensors(tf, train)
  const validationTensors = rowTensors(tf, validation)
  const validationBatches = planBatches(validation, EVALUATION_BATCH)
  const ops = tfjsOps(tf)

  const descend = (gradients: Readonly<Record<string, TfTensor>>, step: number, epsilon: number) =>
    tf.tidy(() => {
      for (const [i, name] of names.entries()) {
        const { first, second } = moments[i]!
        const p = variables[name]!
        const g = gradients[p.name]!
        first.assign(tf.add(tf.mul(first, BETA1), g))
        second.assign(tf.add(tf.mul(second, BETA2), tf.square(g)))
        p.assign(tf.sub(p, tf.mul(tf.div(first, tf.add(tf.sqrt(second), epsilon)), step)))
      }
    })

  try {
    const fitted = await runEpochs(
      {
        train: async (epoch) => {
          const batches = planBatches(train, options.batchSize, { seed: options.seed, epoch })
          const taken = (epoch - 1) * batches.steps
          const schedule = stepSchedule(batches.steps, taken, options.learningRate)
          const sums = new Float64Array(batches.steps)
          for (let step = 0; step < batches.steps; step++) {
            const batch = takeBatch(tf, trainTensors, batches, step)
            const { lossSum, gradients: found } = objective(tf, spec, ops, variables, batch)
            sums[step] = lossSum
            descend(found, schedule.stepSize[step]!, schedule.epsilon[step]!)
            tf.dispose([found, batch.weight, Object.values(batch.columns)])
          }
          return meanLoss(sums, batches.weight)
        },
        validate: async () => {
          await breathe()
          const sums = new Float64Array(validationBatches.steps)
          for (let step = 0; step < sums.length; step++) {
            sums[step] = tf.tidy(() => {
              const { columns, weight } = takeBatch(tf, validationTensors, validationBatches, step)
              const losses = spec.loss<TfTensor>(ops, variables, columns)
              return tf.sum(tf.mul(losses, weight)).dataSync()[0]!
            })
          }
          return meanLoss(sums, validationBatches.weight)
        },
        parameters: async () => readTensors(spec, (name) => variables[name]!),
        state: async () => Object.fromEntries(states.map(([key, v]) => [key, readTensor(v)])),
        restore: async (state) => {
          for (const [key, variable] of states) {
            tf.tidy(() => variable.assign(tf.tensor(state[key]!.values, variable.shape)))
          }
        },
      },
      options,
      options.checkpoint ? fitFingerprint(backend, spec, data, options) : '',
    )
    return { ...fitted, backend }
  } finally {
    tf.dispose([
      states.map(([, variable]) => variable),
      ...[trainTensors, validationTensors].map((rows) => Object.values(rows)),
    ] as unknown as TfTensor[])
  }
}

function gradients(tf: Tf, spec: FitSpec, rows: FitRows) {
  tf.engine().startScope()
  const variables = createVariables(tf, spec)
  try {
    const batch = takeBatch(tf, rowTensors(tf, rows), planBatches(rows, rows.rows), 0)
    const { loss, gradients: found } = objective(tf, spec, tfjsOps(tf), variables, batch)
    return { loss, gradients: readTensors(spec, (name) => found[variables[name]!.name]!) }
  } finally {
    tf.dispose(Object.values(variables))
    tf.engine().endScope()
  }
}

interface Batch {
  readonly columns: Readonly<Record<string, TfTensor>>
  readonly weight: TfTensor
}

/** The batch's weighted mean loss plus l2 / 2 |p|^2, its gradients, and the weighted sum alone. */
function objective(
  tf: Tf,
  spec: FitSpec,
  ops: ReturnType<typeof tfjsOps>,
  variables: Variables,
  batch: Batch,
): { loss: number; lossSum: number; gradients: Readonly<Record<string, TfTensor>> } {
  let sum: TfTensor | undefined
  const { value, grads } = tf.variableGrads(() => {
    const losses = spec.loss<TfTensor>(ops, variables, batch.columns)
    sum = tf.keep(tf.sum(tf.mul(losses, batch.weight)))
    let total = tf.div(sum, tf.maximum(tf.sum(batch.weight), MINIMUM_WEIGHT))
    for (const [name, { l2 }] of Object.entries(spec.parameters)) {
      if (l2 > 0) total = tf.add(total, tf.mul(tf.sum(tf.square(variables[name]!)), l2 / 2))
    }
    return total as TfScalar
  }, Object.values(variables))
  const result = { loss: value.dataSync()[0]!, lossSum: sum!.dataSync()[0]!, gradients: grads }
  tf.dispose([value, sum!])
  return result
}

function createVariables(tf: Tf, spec: FitSpec): Variables {
  return Object.fromEntries(
    Object.entries(spec.parameters).map(([name, { shape, values }]) => [
      name,
      tf.variable(tf.tensor(values, [...shape])),
    ]),
  )
}

function rowTensors(tf: Tf, rows: FitRows): RowTensors {
  const tensors: Record<string, { column: TfTensor; table?: TfTensor }> = {}
  for (const [name, values] of Object.entries(rows.columns)) {
    tensors[name] = { column: column(tf, values) }
  }
  for (const [name, { table, index }] of Object.entries(rows.lookups)) {
    tensors[name] = { column: column(tf, index), table: tf.tensor(table.values, [...table.shape]) }
  }
  return tensors
}

function column(tf: Tf, values: Float32Array | Int32Array): TfTensor {
  return tf.tensor1d(values, values instanceof Int32Array ? 'int32' : 'float32')
}

function takeBatch(tf: Tf, rows: RowTensors, batches: Batches, step: number): Batch {
  const [from, to] = [step * batches.batchSize, (step + 1) * batches.batchSize]
  return tf.tidy(() => {
    const order = tf.tensor1d(batches.order.subarray(from, to), 'int32')
    const columns: Record<string, TfTensor> = {}
    for (const [name, { column: whole, table }] of Object.entries(rows)) {
      const taken = tf.gather(whole, order)
      columns[name] = table ? tf.gather(table, tf.cast(taken, 'int32')) : taken
    }
    return { columns, weight: tf.tensor1d(batches.weight.subarray(from, to)) }
  })
}

function readTensors(spec: FitSpec, read: (name: string) => TfTensor): Record<string, Tensor> {
  return Object.fromEntries(
    Object.keys(spec.parameters).map((name) => [name, readTensor(read(name))]),
  )
}

function readTensor(tensor: TfTensor): Tensor {
  return { shape: tensor.shape, values: Float32Array.from(tensor.dataSync()) }
}

/** Lets timers, signals and progress callbacks run between epochs. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** The operations of a loss on TensorFlow.js, differentiated by its autodiff. */
function tfjsOps(tf: Tf): Ops<TfTensor> {
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
