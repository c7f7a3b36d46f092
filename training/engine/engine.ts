import type { OnProgress } from '../../core/progress.ts'
import type { Tensor } from '../../models/families/family.ts'

/**
 * The operations that losses are written in, the same for every engine: `onnx` records them on a tape and
 * differentiates the tape, `tfjs` runs them and differentiates by autodiff. Matrices are row-major.
 */
export interface Ops<T> {
  /** a [m, k] times b [k, n]; either may be transposed */
  matmul(a: T, b: T, options?: { transposeA?: boolean; transposeB?: boolean }): T
  /** elementwise, with NumPy broadcasting of the second operand onto the first */
  add(a: T, b: T): T
  sub(a: T, b: T): T
  mul(a: T, b: T): T
  scale(a: T, factor: number): T
  sigmoid(a: T): T
  tanh(a: T): T
  relu(a: T): T
  /** log(1 + e^a), without overflow */
  softplus(a: T): T
  /** sum over the last axis, which is dropped */
  sumLast(a: T): T
  /** rows of a parameter [m, k] selected by the batch's index column: [batch, k] */
  gatherRows(table: T, index: T): T
  /** gatherRows(table, a) - gatherRows(table, b), at the cost of a single gather */
  gatherDifference(table: T, a: T, b: T): T
  /** each row divided by its Euclidean norm */
  normaliseRows(a: T): T
  /** a column [batch] as [batch, 1] */
  asColumn(a: T): T
  /** column k of a matrix [batch, m]: [batch] */
  columnAt(a: T, k: number): T
}

/** Loss of each row of the batch, [batch]; the engine computes the weighted mean and adds the L2 terms. */
export type RowLoss = <T>(
  ops: Ops<T>,
  parameters: Readonly<Record<string, T>>,
  batch: Readonly<Record<string, T>>,
) => T

export interface Parameter extends Tensor {
  /** L2 strength: adds l2 / 2 * |values|^2 to the objective */
  readonly l2: number
}

/** What to fit: parameters with their initial values, and the loss of a row. */
export interface FitSpec {
  readonly parameters: Readonly<Record<string, Parameter>>
  readonly loss: RowLoss
  /** name of the loss in messages and in the graph */
  readonly name: string
}

/**
 * n rows. In a batch each column is [batch] (`index` columns as integers) and each `lookup` is [batch, d]:
 * the table's rows at that column's indices, so that each prompt's embedding is stored once.
 */
export interface FitRows {
  readonly rows: number
  readonly columns: Readonly<Record<string, Float32Array | Int32Array>>
  readonly lookups: Readonly<Record<string, { readonly table: Tensor; readonly index: Int32Array }>>
  /** n: weight of each row's loss */
  readonly weight: Float32Array
}

export interface FitData {
  readonly train: FitRows
  /** with the same columns and lookups; early stopping uses its mean loss, without the L2 terms */
  readonly validation: FitRows
}

export interface FitOptions {
  readonly epochs: number
  readonly batchSize: number
  readonly learningRate: number
  /** number of epochs without a better validation loss after which training stops */
  readonly patience: number
  /** seed of the shuffles; the initial values are in the spec */
  readonly seed: number
  /** fixed and recorded, since the exact result depends on it */
  readonly threads: number
  /**
   * The tables are not needed after the run: an engine may take over their memory instead of copying it, and
   * leave the arrays empty.
   */
  readonly consumeTables?: boolean
  /**
   * A file written after each epoch. A run with the same data, settings and backend that finds it resumes
   * from it and gives the same bytes as an uninterrupted one; a finished run deletes it.
   */
  readonly checkpoint?: string | undefined
  /** APGR on validation of the parameters after an epoch: shown and recorded, but no decision depends on it */
  readonly validationApgr?: (parameters: Readonly<Record<string, Tensor>>) => number | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

export interface EpochRecord {
  readonly epoch: number
  readonly trainLoss: number
  readonly validationLoss: number
  readonly validationApgr?: number
  readonly seconds: number
}

export interface FitResult {
  /** the parameters of the best epoch by validation loss */
  readonly parameters: Readonly<Record<string, Tensor>>
  readonly epochs: readonly EpochRecord[]
  readonly bestEpoch: number
  /** true if the signal stopped the run early; the parameters are the best so far */
  readonly stopped: boolean
  /** number of epochs that the checkpoint of an earlier, killed run contained; 0 without one */
  readonly resumedAfter: number
  /** the backend that ran, its version and its number of threads */
  readonly backend: string
}

/** Trains by Adam (Kingma and Ba 2015) with beta1 .9, beta2 .999, epsilon 1e-8, on seeded shuffles. */
export interface Engine {
  readonly name: string
  fit(spec: FitSpec, data: FitData, options: FitOptions): Promise<FitResult>
  /** Loss and gradients of the objective (with L2) on the given rows at the initial values. */
  gradients(
    spec: FitSpec,
    rows: FitRows,
  ): Promise<{ readonly loss: number; readonly gradients: Readonly<Record<string, Tensor>> }>
  close(): Promise<void>
}
