import type { Embeddings } from '../../models/encoders/embeddings.ts'
import { minimise, type Objective } from './lbfgs.ts'
import { fitLogistic, type LogisticFit, logisticLoss } from './logistic.ts'
import { addPenalty, type LogisticProblem } from './logistic-problem.ts'

export interface RelatedOptions {
  readonly embeddings: Embeddings
  /** the rows, labels and weights of each head */
  readonly heads: readonly Pick<LogisticProblem, 'rows' | 'labels' | 'weights'>[]
  /** 1 / the prior variance of every weight of every head */
  readonly l2: number
  /** prior correlation of the heads' weights for the same column, 0 up to but not including 1 */
  readonly correlation: number
  readonly init?: readonly LogisticFit[] | undefined
  readonly maxIterations: number
  readonly tolerance: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Logistic regressions whose weights resemble each other: head t has u_t = sqrt(r) c + sqrt(1 - r) v_t with the
 * prior N(0, 1 / l2) on the common part c and on each head's own part v_t, and a bias of its own without a
 * penalty (the hierarchical prior of Finkel and Manning 2009, with the variance of u_t held at 1 / l2). A
 * correlation r of 0 gives the heads that are fitted apart. Convex; solved by L-BFGS over c and all v_t and biases.
 */
export async function fitRelated(options: RelatedOptions): Promise<LogisticFit[]> {
  const { embeddings, heads, l2, correlation: r, maxIterations, signal } = options
  if (r === 0) {
    const fits: LogisticFit[] = []
    for (const [t, head] of heads.entries()) {
      fits.push(await fitLogistic({ ...options, ...head, init: options.init?.[t] }))
    }
    return fits
  }
  const d = embeddings.dimension
  const [common, own] = [Math.sqrt(r), Math.sqrt(1 - r)]
  const strength = (value: number): Float64Array => new Float64Array(d).fill(value)
  // each loss is a function of u_t, in which the penalty on v_t is 1 / (1 - r) as strong
  const losses = await Promise.all(
    heads.map((head) => logisticLoss({ embeddings, ...head, l2 }, strength(l2 / (1 - r)))),
  )
  const pooled = await logisticLoss({ embeddings, ...joined(heads), l2 }, strength(l2 / r))
  const penalty = strength(l2)
  const block = (vector: Float64Array, t: number): Float64Array =>
    vector.subarray(d + t * (d + 1), d + (t + 1) * (d + 1))
  const x = startingPoint(options, d)
  const u = new Float64Array(d + 1)
  const pull = new Float64Array(d + 1)
  const toHead = (from: Float64Array, t: number): Float64Array => {
    const v = block(from, t)
    for (let j = 0; j < d; j++) u[j] = common * from[j]! + own * v[j]!
    u[d] = v[d]!
    return u
  }
  const objective: Objective = {
    size: x.length,
    evaluate(at, gradient) {
      gradient.fill(0)
      let value = addPenalty(at, gradient, penalty)
      for (const [t, loss] of losses.entries()) {
        value += loss.evaluate(toHead(at, t), pull)
        const g = block(gradient, t)
        for (let j = 0; j < d; j++) {
          g[j] = own * pull[j]!
          gradient[j]! += common * pull[j]!
        }
        g[d] = pull[d]!
        value += addPenalty(block(at, t), g, penalty)
      }
      return value
    },
  }
  const minimum = await minimise(objective, {
    x,
    maxIterations,
    precondition(vector) {
      const shared = new Float64Array(d + 1)
      for (let j = 0; j < d; j++) shared[j] = vector[j]! / common
      pooled.precondition(shared)
      for (let j = 0; j < d; j++) vector[j] = shared[j]! / common
      for (const [t, loss] of losses.entries()) {
        const part = block(vector, t)
        for (let j = 0; j < d; j++) part[j]! /= own
        loss.precondition(part)
        for (let j = 0; j < d; j++) part[j]! /= own
      }
    },
    tolerance: Math.max(options.tolerance, pooled.precision),
    signal,
  })
  return heads.map((_, t) => ({
    weights: Float32Array.from(toHead(x, t).subarray(0, d)),
    bias: block(x, t)[d]!,
    objective: minimum.value,
    iterations: minimum.iterations,
    converged: minimum.converged,
  }))
}

/** The most likely common part c, and what is left of each head, given the heads to start from. */
function startingPoint({ heads, correlation: r, init }: RelatedOptions, d: number): Float64Array {
  const x = new Float64Array(d + heads.length * (d + 1))
  if (!init) return x
  const [common, own] = [Math.sqrt(r), Math.sqrt(1 - r)]
  for (const { weights } of init) {
    for (let j = 0; j < d; j++) x[j]! += (common * weights[j]!) / (1 - r + r * heads.length)
  }
  for (const [t, { weights, bias }] of init.entries()) {
    const from = d + t * (d + 1)
    for (let j = 0; j < d; j++) x[from + j] = (weights[j]! - common * x[j]!) / own
    x[from + d] = bias
  }
  return x
}

function joined(heads: RelatedOptions['heads']): RelatedOptions['heads'][number] {
  return {
    rows: Int32Array.from(heads.flatMap(({ rows }) => [...rows])),
    labels: Float32Array.from(heads.flatMap(({ labels }) => [...labels])),
    weights: Float32Array.from(heads.flatMap(({ weights }) => [...weights])),
  }
}
