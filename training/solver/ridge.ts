import type { DenseMatrix } from './dense-matrix.ts'
import type { Products } from './products.ts'

/**
 * Sufficient statistics of ridge regression on rows with d features and k targets; those of two sets of rows
 * add up.
 */
export interface Moments {
  readonly rows: number
  /** d: sum of the features */
  readonly sum: Float64Array
  /** k: sum of the targets */
  readonly target: Float64Array
  /** d x d: Z'Z */
  readonly gram: Float64Array
  /** d x k: Z'T */
  readonly cross: Float64Array
}

export async function momentsOf(
  z: DenseMatrix,
  t: DenseMatrix,
  products: Products,
): Promise<Moments> {
  const gram = await products.multiply(z, z, 'left')
  const cross = await products.multiply(z, t, 'left')
  return {
    rows: z.rows,
    sum: columnSums(z),
    target: columnSums(t),
    gram: Float64Array.from(gram.values),
    cross: Float64Array.from(cross.values),
  }
}

export function addMoments(parts: readonly Moments[]): Moments {
  const add = (key: 'sum' | 'target' | 'gram' | 'cross'): Float64Array => {
    const total = parts[0]![key].slice()
    for (const part of parts.slice(1)) {
      const more = part[key]
      for (let i = 0; i < total.length; i++) total[i]! += more[i]!
    }
    return total
  }
  return {
    rows: parts.reduce((sum, { rows }) => sum + rows, 0),
    sum: add('sum'),
    target: add('target'),
    gram: add('gram'),
    cross: add('cross'),
  }
}

/** The moments of only `count` of the targets, starting at `from`. */
export function targetsOf(moments: Moments, from: number, count: number): Moments {
  const k = moments.target.length
  const d = moments.sum.length
  const cross = new Float64Array(d * count)
  for (let j = 0; j < d; j++) {
    cross.set(moments.cross.subarray(j * k + from, j * k + from + count), j * count)
  }
  return { ...moments, cross, target: moments.target.slice(from, from + count) }
}

export interface RidgeFit {
  /** d x k */
  readonly weights: Float64Array
  /** k */
  readonly bias: Float64Array
  /** k: means of the targets */
  readonly means: Float64Array
}

/**
 * Ridge regression of all targets at once, with an unpenalised constant: (Z'Z + l2 / scale^2) w = Z't over
 * centred columns. A column with scale 0 is left out, one with scale 2 has a quarter of the penalty.
 */
export function solveRidge(
  { rows, sum, target, gram, cross }: Moments,
  l2: number,
  scale: Float64Array,
): RidgeFit {
  const d = sum.length
  const k = target.length
  const kept = [...scale.keys()].filter((j) => scale[j]! > 0)
  const size = kept.length
  const a = new Float64Array(size * size)
  const x = new Float64Array(size * k)
  for (const [at, i] of kept.entries()) {
    for (let to = 0; to <= at; to++) {
      const j = kept[to]!
      const centred = gram[i * d + j]! - (sum[i]! * sum[j]!) / rows
      a[at * size + to] = scale[i]! * scale[j]! * centred + (at === to ? l2 : 0)
    }
    for (let c = 0; c < k; c++) {
      x[at * k + c] = scale[i]! * (cross[i * k + c]! - (sum[i]! * target[c]!) / rows)
    }
  }
  choleskySolve(a, size, x, k)
  const weights = new Float64Array(d * k)
  const means = target.map((total) => total / rows)
  const bias = means.slice()
  for (const [at, i] of kept.entries()) {
    for (let c = 0; c < k; c++) {
      const weight = scale[i]! * x[at * k + c]!
      weights[i * k + c] = weight
      bias[c]! -= (weight * sum[i]!) / rows
    }
  }
  return { weights, bias, means }
}

/**
 * Ridge regression of the difference of two targets, `over[0]` minus `over[1]`, at one penalty after another
 * by conjugate gradients, each starting from the previous solution. Used to compare penalties, where a
 * Cholesky factorization per penalty would take most of the time of a fit.
 *
 * @returns d weights per penalty
 */
export function ridgePath(
  { rows, sum, target, gram, cross }: Moments,
  penalties: readonly number[],
  scale: Float64Array,
  over: readonly [number, number],
): Float64Array[] {
  const d = sum.length
  const k = target.length
  const kept = [...scale.keys()].filter((j) => scale[j]! > 0)
  const n = kept.length
  const a = new Float64Array(n * n)
  const b = new Float64Array(n)
  const mean = (target[over[0]]! - target[over[1]]!) / rows
  for (const [at, i] of kept.entries()) {
    for (const [to, j] of kept.entries()) {
      a[at * n + to] = scale[i]! * scale[j]! * (gram[i * d + j]! - (sum[i]! * sum[j]!) / rows)
    }
    b[at] = scale[i]! * (cross[i * k + over[0]]! - cross[i * k + over[1]]! - sum[i]! * mean)
  }
  const x = new Float64Array(n)
  return penalties.map((l2) => {
    conjugateGradients(a, n, l2, b, x)
    const weights = new Float64Array(d)
    for (const [at, i] of kept.entries()) weights[i] = scale[i]! * x[at]!
    return weights
  })
}

const CG_STEPS = 300
const CG_TOLERANCE = 1e-4

/** Moves x towards the solution of (A + l2 I) x = b, to a residual of 1e-4 of b. */
function conjugateGradients(
  a: Float64Array,
  n: number,
  l2: number,
  b: Float64Array,
  x: Float64Array,
): void {
  const times = (v: Float64Array, out: Float64Array): void => {
    for (let i = 0; i < n; i++) {
      let total = l2 * v[i]!
      for (let j = 0, at = i * n; j < n; j++, at++) total += a[at]! * v[j]!
      out[i] = total
    }
  }
  const moved = new Float64Array(n)
  times(x, moved)
  const rest = b.map((value, i) => value - moved[i]!)
  const step = rest.slice()
  let left = squared(rest)
  const enough = CG_TOLERANCE ** 2 * squared(b)
  for (let turn = 0; turn < CG_STEPS && left > enough; turn++) {
    times(step, moved)
    let along = 0
    for (let i = 0; i < n; i++) along += step[i]! * moved[i]!
    const size = left / along
    for (let i = 0; i < n; i++) {
      x[i]! += size * step[i]!
      rest[i]! -= size * moved[i]!
    }
    const next = squared(rest)
    for (let i = 0; i < n; i++) step[i] = rest[i]! + (next / left) * step[i]!
    left = next
  }
}

const squared = (v: Float64Array): number => v.reduce((sum, value) => sum + value * value, 0)

/** Solves A X = B for k right-hand sides (n x k) in place; A's lower triangle is overwritten with its factor. */
export function choleskySolve(a: Float64Array, n: number, x: Float64Array, k: number): void {
  cholesky(a, n)
  solveCholesky(a, n, x, k)
}

/** Overwrites the lower triangle of a positive definite n x n matrix with its Cholesky factor. */
export function cholesky(a: Float64Array, n: number): void {
  for (let i = 0; i < n; i++) {
    const row = i * n
    for (let j = 0; j <= i; j++) {
      const other = j * n
      let rest = a[row + j]!
      for (let l = 0; l < j; l++) rest -= a[row + l]! * a[other + l]!
      a[row + j] = i === j ? Math.sqrt(Math.max(rest, 1e-12)) : rest / a[other + j]!
    }
  }
}

/** Solves L L' X = B for k right-hand sides (n x k) in place, given the Cholesky factor. */
export function solveCholesky(l: Float64Array, n: number, x: Float64Array, k = 1): void {
  for (let c = 0; c < k; c++) {
    for (let i = 0; i < n; i++) {
      let rest = x[i * k + c]!
      for (let j = 0; j < i; j++) rest -= l[i * n + j]! * x[j * k + c]!
      x[i * k + c] = rest / l[i * n + i]!
    }
    for (let i = n - 1; i >= 0; i--) {
      const value = x[i * k + c]! / l[i * n + i]!
      x[i * k + c] = value
      for (let j = 0; j < i; j++) x[j * k + c]! -= value * l[i * n + j]!
    }
  }
}

function columnSums({ rows, columns, values }: DenseMatrix): Float64Array {
  const sums = new Float64Array(columns)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) sums[j]! += values[i * columns + j]!
  }
  return sums
}

/** The inverse of a positive definite n x n matrix, which is overwritten. */
export function choleskyInverse(a: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n)
  for (let i = 0; i < n; i++) inverse[i * n + i] = 1
  choleskySolve(a, n, inverse, n)
  return inverse
}
