import { WeirError } from '../../core/errors.ts'

/** A smooth function of `size` variables. */
export interface Objective {
  readonly size: number
  /** Writes the gradient at x (both of length `size`) and returns the value. */
  evaluate(x: Float64Array, gradient: Float64Array): number | Promise<number>
}

export interface MinimiseOptions {
  /** the starting point; on return, the minimum */
  readonly x: Float64Array
  readonly maxIterations: number
  /** Applies an estimate of the inverse Hessian, symmetric and positive, in place. */
  readonly precondition: (vector: Float64Array) => void
  /** stop when the gain still possible, as estimated from the last step's model, is at most this */
  readonly tolerance: number
  readonly signal?: AbortSignal | undefined
  readonly onIteration?: ((iteration: number, value: number) => void) | undefined
}

export interface Minimum {
  readonly value: number
  readonly iterations: number
  readonly converged: boolean
}

const MEMORY = 10
const ARMIJO = 1e-4
const CURVATURE = 0.9
const MAX_TRIALS = 30

/**
 * L-BFGS (Nocedal and Wright 2006, algorithm 7.4) with a bisecting line search for the weak Wolfe
 * conditions (Lewis and Overton 2013, algorithm 2.6). Moves `options.x`; throws `cancelled` on abort.
 */
export async function minimise(objective: Objective, options: MinimiseOptions): Promise<Minimum> {
  const { x, signal } = options
  const n = objective.size
  let gradient = new Float64Array(n)
  let trialGradient = new Float64Array(n)
  const direction = new Float64Array(n)
  const start = new Float64Array(n)
  const preconditioned = new Float64Array(n)
  const history = new History(n, options.precondition)
  let value = await objective.evaluate(x, gradient)
  let yielded = performance.now()
  for (let iteration = 0; ; iteration++) {
    if (iteration === options.maxIterations)
      return { value, iterations: iteration, converged: false }
    if (performance.now() - yielded > 50) {
      await new Promise((resolve) => setImmediate(resolve))
      yielded = performance.now()
    }
    if (signal?.aborted) throw new WeirError('cancelled', { signal: 'request' })

    history.direction(gradient, direction)
    const slope = dot(gradient, direction)
    // half the Newton decrement, by two estimates of the Hessian: the remaining gain of a quadratic
    preconditioned.set(gradient)
    options.precondition(preconditioned)
    const left = Math.max(-slope, dot(gradient, preconditioned)) / 2
    if (left <= options.tolerance * Math.abs(value)) {
      return { value, iterations: iteration, converged: true }
    }
    if (iteration === options.maxIterations) {
      return { value, iterations: iteration, converged: false }
    }
    start.set(x)
    let step = 1
    let [low, high] = [0, Number.POSITIVE_INFINITY]
    let trial = value
    let found = false
    for (let trials = 0; trials < MAX_TRIALS && !found; trials++) {
      for (let i = 0; i < n; i++) x[i] = start[i]! + step * direction[i]!
      trial = await objective.evaluate(x, trialGradient)
      if (!(trial <= value + ARMIJO * step * slope)) high = step
      else if (dot(trialGradient, direction) < CURVATURE * slope) low = step
      else found = true
      if (!found) step = high === Number.POSITIVE_INFINITY ? 2 * low : (low + high) / 2
    }
    if (!found && !(trial < value)) {
      // no descent is possible at this precision
      x.set(start)
      return { value, iterations: iteration, converged: true }
    }
    history.add(x, start, trialGradient, gradient)
    value = trial
    ;[gradient, trialGradient] = [trialGradient, gradient]
    options.onIteration?.(iteration + 1, value)
  }
}

/** The last few steps and gradient changes, in a ring buffer. */
class History {
  size = 0
  private next = 0
  private readonly steps: Float64Array[] = []
  private readonly changes: Float64Array[] = []
  private readonly products = new Float64Array(MEMORY)
  private readonly alphas = new Float64Array(MEMORY)
  private readonly n: number
  private readonly precondition: (vector: Float64Array) => void
  private readonly scratch: Float64Array
  private gamma = 1

  constructor(n: number, precondition: (vector: Float64Array) => void) {
    this.n = n
    this.precondition = precondition
    this.scratch = new Float64Array(n)
  }

  /** Writes minus the inverse Hessian estimate times the gradient: the two-loop recursion. */
  direction(gradient: Float64Array, out: Float64Array): void {
    const { n, gamma } = this
    for (let i = 0; i < n; i++) out[i] = -gradient[i]!
    for (let k = 1; k <= this.size; k++) {
      const at = (this.next - k + MEMORY) % MEMORY
      this.alphas[at] = dot(this.steps[at]!, out) / this.products[at]!
      addScaled(out, this.changes[at]!, -this.alphas[at]!)
    }
    this.precondition(out)
    for (let i = 0; i < n; i++) out[i]! *= gamma
    for (let k = this.size; k >= 1; k--) {
      const at = (this.next - k + MEMORY) % MEMORY
      const beta = dot(this.changes[at]!, out) / this.products[at]!
      addScaled(out, this.steps[at]!, this.alphas[at]! - beta)
    }
  }

  add(x: Float64Array, start: Float64Array, gradient: Float64Array, before: Float64Array): void {
    const { n, next, scratch } = this
    this.steps[next] ??= new Float64Array(n)
    this.changes[next] ??= new Float64Array(n)
    const [s, y] = [this.steps[next], this.changes[next]]
    let product = 0
    for (let i = 0; i < n; i++) {
      s[i] = x[i]! - start[i]!
      y[i] = gradient[i]! - before[i]!
      product += s[i]! * y[i]!
    }
    if (!(product > 1e-300)) return // rounding left no usable curvature
    this.products[next] = product
    scratch.set(y)
    this.precondition(scratch)
    this.gamma = product / dot(y, scratch)
    this.next = (next + 1) % MEMORY
    this.size = Math.min(this.size + 1, MEMORY)
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

function addScaled(a: Float64Array, b: Float64Array, factor: number): void {
  for (let i = 0; i < a.length; i++) a[i]! += factor * b[i]!
}
