import { createRandom } from '../../../core/random.ts'
import type { FitRows, FitSpec, Parameter } from '../../../training/engine/engine.ts'
import { mfSuccessLoss } from '../../../training/trainers/heads/mf.ts'
import { pairLoss, successLossOf } from '../../../training/trainers/heads/mlp.ts'

/** Losses of the shapes the families have, on data drawn from a known truth. */
export interface Problem {
  readonly spec: FitSpec
  readonly train: FitRows
  readonly validation: FitRows
}

const MODELS = 5
const DIMENSION = 12
const WIDTH = 6

/** Preferences: delta(m, e) = w2 . (v_m/|v_m| o (W1 e + b)), soft labels, an index table of prompts. */
export function preferenceProblem(rows = 150, models = MODELS): Problem {
  const random = createRandom(11)
  const normals = (n: number, scale: number) =>
    Float32Array.from({ length: n }, () => random.normal() * scale)
  const parameter = (shape: number[], scale: number, l2: number): Parameter => ({
    shape,
    values: normals(
      shape.reduce((a, b) => a * b, 1),
      scale,
    ),
    l2,
  })
  const spec: FitSpec = {
    name: 'preference',
    parameters: {
      vectors: parameter([models, WIDTH], 1, 0.01),
      projection: parameter([DIMENSION, WIDTH], 0.3, 0.001),
      bias: parameter([WIDTH], 0.1, 0),
      output: parameter([WIDTH], 0.5, 0),
    },
    loss: (ops, p, batch) => {
      const unit = ops.normaliseRows(p.vectors!)
      const text = ops.add(ops.matmul(batch.prompt!, p.projection!), p.bias!)
      const apart = ops.sub(ops.gatherRows(unit, batch.a!), ops.gatherRows(unit, batch.b!))
      const delta = ops.sumLast(ops.mul(ops.mul(apart, text), p.output!))
      return ops.sub(ops.softplus(delta), ops.mul(delta, batch.label!))
    },
  }
  const table = { shape: [40, DIMENSION], values: normals(40 * DIMENSION, 1) }
  const truth = normals(models * DIMENSION, 1)
  const draw = (n: number): FitRows => {
    const [a, b] = [new Int32Array(n), new Int32Array(n)]
    const [label, weight] = [new Float32Array(n), new Float32Array(n)]
    const index = new Int32Array(n)
    for (let i = 0; i < n; i++) {
      a[i] = random.int(models)
      b[i] = (a[i]! + 1 + random.int(models - 1)) % models
      index[i] = random.int(40)
      let delta = 0
      for (let j = 0; j < DIMENSION; j++) {
        const gap = truth[a[i]! * DIMENSION + j]! - truth[b[i]! * DIMENSION + j]!
        delta += gap * table.values[index[i]! * DIMENSION + j]!
      }
      const chance = 1 / (1 + Math.exp(-delta))
      label[i] = random.next() < 0.1 ? 0.5 : Number(random.next() < chance)
      weight[i] = 0.5 + random.next()
    }
    return { rows: n, columns: { a, b, label }, lookups: { prompt: { table, index } }, weight }
  }
  return { spec, train: draw(rows), validation: draw(60) }
}

/** Outcomes: an MLP with one success head a model, missing scores masked; uses every other operation. */
export function successProblem(rows = 130): Problem {
  const random = createRandom(12)
  const normals = (n: number, scale: number) =>
    Float32Array.from({ length: n }, () => random.normal() * scale)
  const spec: FitSpec = {
    name: 'success',
    parameters: {
      hidden: { shape: [WIDTH, DIMENSION], values: normals(WIDTH * DIMENSION, 0.4), l2: 0.01 },
      heads: { shape: [2, WIDTH], values: normals(2 * WIDTH, 0.4), l2: 0 },
      gate: { shape: [WIDTH], values: normals(WIDTH, 0.4), l2: 0 },
      bias: { shape: [2], values: normals(2, 0.1), l2: 0 },
    },
    loss: (ops, p, batch) => {
      const drive = ops.matmul(batch.prompt!, p.hidden!, { transposeB: true })
      const smooth = ops.mul(ops.tanh(drive), ops.sigmoid(p.gate!))
      const layer = ops.add(smooth, ops.scale(ops.relu(drive), 0.5))
      const transposed = ops.matmul(p.heads!, layer, { transposeB: true })
      const identity = ops.matmul(p.heads!, p.heads!, { transposeA: true })
      const extra = ops.matmul(layer, ops.scale(identity, 0.01))
      const logits = ops.add(
        ops.matmul(ops.add(layer, extra), p.heads!, { transposeB: true }),
        p.bias!,
      )
      const shift = ops.sumLast(ops.matmul(transposed, layer))
      const one = (k: number, score: 'strong' | 'weak') => {
        const logit = ops.add(ops.columnAt(logits, k), ops.scale(ops.sumLast(drive), 0.1))
        const loss = ops.sub(ops.softplus(logit), ops.mul(logit, batch[score]!))
        return ops.mul(ops.asColumn(loss), ops.asColumn(batch.mask!))
      }
      const both = ops.sumLast(ops.add(one(0, 'strong'), one(1, 'weak')))
      const penalty = ops.scale(ops.sumLast(ops.mul(shift, shift)), 1e-4)
      return ops.add(both, penalty)
    },
  }
  const table = { shape: [rows, DIMENSION], values: normals(rows * DIMENSION, 1) }
  const draw = (n: number): FitRows => {
    const float = (value: () => number) => Float32Array.from({ length: n }, value)
    const columns = {
      strong: float(() => random.next()),
      weak: float(() => Number(random.next() < 0.3)),
      mask: float(() => Number(random.next() < 0.8)),
    }
    const index = Int32Array.from({ length: n }, () => random.int(rows))
    return { rows: n, columns, lookups: { prompt: { table, index } }, weight: float(() => 1) }
  }
  return { spec, train: draw(rows), validation: draw(50) }
}

const normals = (seed: number) => {
  const random = createRandom(seed)
  return (shape: number[], scale: number, l2 = 0): Parameter => ({
    shape,
    values: Float32Array.from(
      { length: shape.reduce((a, b) => a * b, 1) },
      () => random.normal() * scale,
    ),
    l2,
  })
}

/** Rows of embeddings with scores of `outputs` models, a fifth of them not seen; for one, its label a column. */
function scoredRows(outputs: number, rows = 90): FitRows {
  const random = createRandom(14)
  const draw = normals(15)
  const index = Int32Array.from({ length: rows }, () => random.int(rows))
  const float = (value: () => number) => Float32Array.from({ length: rows * outputs }, value)
  const label = float(() => random.int(3) / 2)
  const embedding = { table: draw([rows, DIMENSION], 1), index }
  const weight = Float32Array.from({ length: rows }, () => 0.5 + random.next())
  if (outputs === 1) return { rows, columns: { label }, lookups: { embedding }, weight }
  const score = { table: { shape: [rows, outputs], values: label }, index }
  const seen = {
    table: { shape: [rows, outputs], values: float(() => Number(random.next() < 0.8)) },
    index,
  }
  return { rows, columns: {}, lookups: { embedding, score, seen }, weight }
}

/** The loss of `mlp` itself. */
export function mlpProblem(outputs: number): Problem {
  const draw = normals(16)
  const spec: FitSpec = {
    name: 'mlp',
    loss: outputs === 1 ? pairLoss : successLossOf(outputs),
    parameters: {
      hidden: draw([DIMENSION, WIDTH], 0.3, 0.01),
      hidden_bias: draw([WIDTH], 0.3),
      weights: draw([WIDTH, outputs], 0.4, 0.01),
      bias: draw([outputs], 0.2),
    },
  }
  return { spec, train: scoredRows(outputs), validation: scoredRows(outputs) }
}

/** The loss of `mf` in its success form. */
export function vectorProblem(): Problem {
  const draw = normals(17)
  const spec: FitSpec = {
    name: 'mf success',
    loss: mfSuccessLoss(MODELS),
    parameters: {
      models: draw([MODELS, WIDTH], 1),
      projection: draw([DIMENSION, WIDTH], 0.3, 0.01),
      bias: draw([WIDTH], 0.2),
      output: draw([WIDTH], 0.4, 0.01),
    },
  }
  return { spec, train: scoredRows(MODELS), validation: scoredRows(MODELS) }
}
