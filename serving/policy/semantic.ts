import { type DenseEmbeddings, type Embeddings, takeRows } from '../../models/embeddings.ts'
import { WeirError } from '../../models/errors.ts'

/** Rows of an encoder that is loaded, dense. */
export type Embed = (texts: readonly string[], signal?: AbortSignal) => Promise<Embeddings>

export interface SemanticRoute {
  readonly name: string
  readonly description?: string
  readonly examples: readonly string[]
  /** a cosine; fitted to the examples where absent */
  readonly threshold?: number
}

export interface SemanticMatch {
  readonly name: string
  /** mean cosine of the route's nearest examples */
  readonly score: number
  readonly threshold: number
}

export interface SemanticIndex {
  readonly thresholds: ReadonlyMap<string, number>
  /** texts are sent to another machine to be embedded */
  readonly remote: boolean
  /** Undefined where the text is near enough to no route. */
  match(text: string, signal?: AbortSignal): Promise<SemanticMatch | undefined>
}

/** Examples whose cosines are averaged: one odd example does not decide alone. */
const NEAREST = 2

/**
 * Embeds every route's examples and fits the thresholds that are not given: each example is scored with
 * itself left out, and the threshold of a route is the cut between its own examples and everyone else's
 * (`none` of the routes included) with the best balanced accuracy, in the middle of its gap.
 */
export async function buildSemanticIndex(
  routes: readonly SemanticRoute[],
  none: readonly string[],
  embed: Embed,
  { remote = false, signal }: { readonly remote?: boolean; readonly signal?: AbortSignal } = {},
): Promise<SemanticIndex> {
  const texts: string[] = []
  const owners: number[] = []
  for (const [i, { examples, description }] of routes.entries()) {
    for (const text of description === undefined ? examples : [...examples, description]) {
      texts.push(text)
      owners.push(i)
    }
  }
  for (const text of none) {
    texts.push(text)
    owners.push(-1)
  }
  const rows = unitRows(await embed(texts, signal))
  const score = (rowsOf: DenseEmbeddings, row: number, route: number, except = -1): number => {
    const cosines: number[] = []
    for (let j = 0; j < owners.length; j++) {
      if (owners[j] === route && j !== except) cosines.push(dot(rowsOf, row, rows, j))
    }
    const best = cosines.sort((a, b) => b - a).slice(0, NEAREST)
    return best.reduce((sum, value) => sum + value, 0) / best.length
  }
  const thresholds = routes.map((route, i) => {
    if (route.threshold !== undefined) return route.threshold
    const own: number[] = []
    const others: number[] = []
    for (const [j, owner] of owners.entries()) {
      ;(owner === i ? own : others).push(score(rows, j, i, j))
    }
    return bestCut(own, others)
  })
  return {
    thresholds: new Map(routes.map(({ name }, i) => [name, thresholds[i]!])),
    remote,
    async match(text, stop) {
      const asked = unitRows(await embed([text], stop))
      let best: SemanticMatch | undefined
      for (const [i, { name }] of routes.entries()) {
        const found = { name, score: score(asked, 0, i), threshold: thresholds[i]! }
        if (found.score >= found.threshold && found.score > (best?.score ?? -Infinity)) best = found
      }
      return best
    },
  }
}

function bestCut(own: readonly number[], others: readonly number[]): number {
  const sorted = [...own, ...others].sort((a, b) => a - b)
  let best = { accuracy: -1, gap: -1, cut: 0.5 }
  for (let i = 0; i + 1 < sorted.length; i++) {
    const gap = sorted[i + 1]! - sorted[i]!
    const cut = sorted[i]! + gap / 2
    const kept = own.filter((value) => value >= cut).length / own.length
    const refused = others.filter((value) => value < cut).length / Math.max(1, others.length)
    const accuracy = kept + refused
    if (accuracy > best.accuracy || (accuracy === best.accuracy && gap > best.gap)) {
      best = { accuracy, gap, cut }
    }
  }
  return best.cut
}

function unitRows(embeddings: Embeddings): DenseEmbeddings {
  if (embeddings.kind !== 'dense') {
    const expected = 'an encoder with dense embeddings'
    throw new WeirError('config_invalid', { where: 'semantic', expected, got: 'a sparse one' })
  }
  const all = Int32Array.from({ length: embeddings.rows }, (_, i) => i)
  const rows = takeRows(embeddings, all) as DenseEmbeddings
  for (let i = 0; i < rows.rows; i++) {
    const row = rows.values.subarray(i * rows.dimension, (i + 1) * rows.dimension)
    const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0)) || 1
    for (let j = 0; j < row.length; j++) row[j] = row[j]! / norm
  }
  return rows
}

function dot(a: DenseEmbeddings, i: number, b: DenseEmbeddings, j: number): number {
  let sum = 0
  for (let k = 0; k < a.dimension; k++) {
    sum += a.values[i * a.dimension + k]! * b.values[j * b.dimension + k]!
  }
  return sum
}
