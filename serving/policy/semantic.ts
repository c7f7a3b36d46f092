import { type DenseEmbeddings, type Embeddings, takeRows } from '../../models/embeddings.ts'
import { WeirError } from '../../models/errors.ts'
import { fitCuts, type Stranger } from './cuts.ts'
import { fitKernelScores, type KernelScores } from './kernel-scores.ts'

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
  /** how much the text belongs to the route, or a cosine where the route's threshold is one */
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

/** Examples whose mean is compared with a threshold that is a cosine: one odd example does not decide alone. */
const NEAREST = 2
/** How much texts of none of the routes count among strangers, beside those of other routes. */
const NONE_SHARE = 2 / 3
/** Building takes the cube of it. */
const MOST_TEXTS = 1000

/**
 * Embeds every route's examples and learns from all of them what belongs to which route, and from which score
 * on: by the scores of examples with themselves left out, of texts that are none of the routes', and of each
 * route's examples for the other routes.
 *
 * @param none texts that belong to no route
 * @throws config_invalid: a sparse encoder, too many texts
 */
export async function buildSemanticIndex(
  routes: readonly SemanticRoute[],
  none: readonly string[],
  embed: Embed,
  { remote = false, signal }: { readonly remote?: boolean; readonly signal?: AbortSignal } = {},
): Promise<SemanticIndex> {
  const texts: string[] = []
  const owners: number[] = []
  const own = routes.map(({ examples, description }) =>
    description === undefined ? examples : [...examples, description],
  )
  for (const [owner, list] of [...own.entries(), [-1, none] as const]) {
    for (const text of list) {
      texts.push(text)
      owners.push(owner)
    }
  }
  if (texts.length > MOST_TEXTS) {
    const expected = `at most ${MOST_TEXTS} examples and descriptions`
    throw new WeirError('config_invalid', { where: 'semantic', expected, got: texts.length })
  }
  const rows = unitRows(await embed(texts, signal))
  const n = texts.length
  const cosines = Float64Array.from({ length: n * n }, (_, at) =>
    dot(rows, Math.floor(at / n), rows, at % n),
  )
  const scores = fitKernelScores(cosines, owners, routes.length)
  const cuts = cutsOf(scores, owners, routes.length)
  return {
    thresholds: new Map(routes.map(({ name, threshold }, i) => [name, threshold ?? cuts[i]!])),
    remote,
    async match(text, stop) {
      const asked = unitRows(await embed([text], stop))
      const near = Float64Array.from({ length: n }, (_, i) => dot(asked, 0, rows, i))
      const all = scores.score(near)
      const best = indexOfMost(all)
      const { name, threshold } = routes[best]!
      const score = threshold === undefined ? all[best]! : meanOfNearest(near, owners, best)
      const cut = threshold ?? cuts[best]!
      return score >= cut ? { name, score, threshold: cut } : undefined
    },
  }
}

function cutsOf(
  { leftOut }: KernelScores,
  owners: readonly number[],
  classes: number,
): Float64Array {
  const examples = owners.filter((owner) => owner >= 0).length
  const none = owners.length - examples
  const known: { owner: number; score: number }[] = []
  const strangers: Stranger[] = []
  for (const [i, owner] of owners.entries()) {
    const mine = leftOut.subarray(i * classes, (i + 1) * classes)
    if (owner >= 0) known.push({ owner, score: mine[owner]! })
    // where its own route is taken away, a text is a stranger to all others
    const nearest = indexOfMost(mine, owner)
    const weight = owner < 0 ? NONE_SHARE / none : (none > 0 ? 1 - NONE_SHARE : 1) / examples
    strangers.push({ owner: nearest, score: mine[nearest]!, weight })
  }
  return fitCuts(known, strangers, classes)
}

function indexOfMost(values: Float64Array, except = -1): number {
  let best = except === 0 ? 1 : 0
  for (let i = best + 1; i < values.length; i++) {
    if (i !== except && values[i]! > values[best]!) best = i
  }
  return best
}

function meanOfNearest(cosines: Float64Array, owners: readonly number[], route: number): number {
  const nearest = [...cosines.filter((_, i) => owners[i] === route)]
    .sort((a, b) => b - a)
    .slice(0, NEAREST)
  return nearest.reduce((sum, value) => sum + value, 0) / nearest.length
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
