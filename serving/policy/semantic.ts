import { WeirError } from '../../core/errors.ts'
import {
  type DenseEmbeddings,
  type Embeddings,
  takeRows,
} from '../../models/encoders/embeddings.ts'

/** Similarity falls by e for each `WIDTH` of cosine: examples far from a question have almost no weight. */
const WIDTH = 0.2
/** Ridge: how far the score of one example may differ from its neighbours'. */
const RIDGE = 0.3

/** How much a text belongs to each of several classes: near 1 for their own texts, near 0 for all others. */
interface KernelScores {
  /** n x classes, row-major: for each text it was fitted to, as if that text had been left out */
  readonly leftOut: Float64Array
  /** classes, from the cosines to the n texts */
  score(cosines: Float64Array): Float64Array
}

/**
 * Kernel ridge regression of "is of this class" on texts, kernel exp((cosine - 1) / WIDTH). Scores with a text
 * left out are exact, without fitting again: y_i - a_i / (K + ridge)^-1_ii (Rasmussen and Williams 2006, 5.12).
 *
 * @param cosines n x n between the texts, row-major
 * @param owners n: the class of each text, -1 if it has none
 */
export function fitKernelScores(
  cosines: Float64Array,
  owners: readonly number[],
  classes: number,
): KernelScores {
  const n = owners.length
  const kernel = cosines.map(nearness)
  for (let i = 0; i < n; i++) kernel[i * n + i]! += RIDGE
  const inverse = invertPositive(kernel, n)
  const weights = new Float64Array(n * classes)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const owner = owners[j]!
      if (owner >= 0) weights[i * classes + owner]! += inverse[i * n + j]!
    }
  }
  const leftOut = weights.map((weight, at) => {
    const i = Math.floor(at / classes)
    return Number(owners[i] === at % classes) - weight / inverse[i * n + i]!
  })
  return {
    leftOut,
    score(asked) {
      const scores = new Float64Array(classes)
      for (let i = 0; i < n; i++) {
        const near = nearness(asked[i]!)
        for (let c = 0; c < classes; c++) scores[c]! += near * weights[i * classes + c]!
      }
      return scores
    },
  }
}

const nearness = (cosine: number): number => Math.exp((cosine - 1) / WIDTH)

/** Gauss-Jordan without pivots, which a positive definite matrix does not need. @param matrix n x n, overwritten */
function invertPositive(matrix: Float64Array, n: number): Float64Array {
  for (let k = 0; k < n; k++) {
    const pivot = 1 / matrix[k * n + k]!
    matrix[k * n + k] = 1
    for (let j = 0; j < n; j++) matrix[k * n + j]! *= pivot
    for (let i = 0; i < n; i++) {
      const factor = matrix[i * n + k]!
      if (i === k) continue
      matrix[i * n + k] = 0
      for (let j = 0; j < n; j++) matrix[i * n + j]! -= factor * matrix[k * n + j]!
    }
  }
  return matrix
}

/** A score that a class should refuse, and its weight. */
interface Stranger {
  readonly owner: number
  readonly score: number
  readonly weight: number
}

/**
 * With many scores on either side a class's cut is fitted to them, with few it is close to that of all
 * classes.
 */
const SHRINKAGE = 8

/**
 * Weight of an accepted stranger relative to a refused text of the class: the refused text still gets the
 * default route's answer, the stranger a specialist's for something else.
 */
const STRANGER_COST = 1.5

/**
 * The score from which each class accepts a text. All classes' scores together give one cut, the one with the
 * best balance of accepted class texts and refused strangers; the cut of a class, which few examples
 * determine badly, is shrunk towards it.
 *
 * @param own the score of each text for its class
 * @param strangers the score for the nearest class of each text that has no class, or whose class is left out
 */
export function fitCuts(
  own: readonly { readonly owner: number; readonly score: number }[],
  strangers: readonly Stranger[],
  classes: number,
): Float64Array {
  const pooled = bestCut(
    own.map(({ score }) => score),
    strangers,
  )
  return Float64Array.from({ length: classes }, (_, c) => {
    const mine = own.flatMap(({ owner, score }) => (owner === c ? [score] : []))
    const others = strangers.filter(({ owner }) => owner === c)
    const known = Math.min(mine.length, others.length)
    if (known === 0) return pooled
    return (known * bestCut(mine, others) + SHRINKAGE * pooled) / (known + SHRINKAGE)
  })
}

/** The middle of the widest gap among the cuts with the greatest weighted sum of shares on the right side. */
export function bestCut(
  own: readonly number[],
  strangers: readonly Pick<Stranger, 'score' | 'weight'>[],
): number {
  const total = strangers.reduce((sum, { weight }) => sum + weight, 0) || 1
  const sorted = [
    ...own.map((score) => ({ score, keeps: 1 / own.length, refuses: 0 })),
    ...strangers.map(({ score, weight }) => ({
      score,
      keeps: 0,
      refuses: (STRANGER_COST * weight) / total,
    })),
  ].sort((a, b) => a.score - b.score)
  let right = 1
  let best = { right: -1, gap: -1, cut: 0.5 }
  for (const [i, { score, keeps, refuses }] of sorted.entries()) {
    right += refuses - keeps
    const next = sorted[i + 1]
    if (!next) break
    const gap = next.score - score
    const better = right - best.right
    if (better > 1e-9 || (better > -1e-9 && gap > best.gap)) {
      best = { right, gap, cut: score + gap / 2 }
    }
  }
  return best.cut
}

/** Rows of an encoder that is loaded, dense. */
export type Embed = (texts: readonly string[], signal?: AbortSignal) => Promise<Embeddings>

export interface SemanticRoute {
  readonly name: string
  readonly description?: string
  readonly examples: readonly string[]
  /** a cosine; fitted to the examples if absent */
  readonly threshold?: number
}

export interface SemanticMatch {
  readonly name: string
  /** how much the text belongs to the route, or a cosine if the route's threshold is one */
  readonly score: number
  readonly threshold: number
}

export interface SemanticIndex {
  readonly thresholds: ReadonlyMap<string, number>
  /** texts are sent to another machine for embedding */
  readonly remote: boolean
  /** Undefined if the text is near enough to no route. */
  match(text: string, signal?: AbortSignal): Promise<SemanticMatch | undefined>
}

/** Number of examples whose mean is compared with a cosine threshold: one odd example does not decide alone. */
const NEAREST = 2
/** Weight among strangers of texts that belong to no route, relative to those of other routes. */
const NONE_SHARE = 2 / 3
/** Largest number of texts: building takes cubic time. */
const MOST_TEXTS = 1000

/**
 * Embeds every route's examples and learns from them which texts belong to which route, and each route's
 * threshold: from the scores of examples with themselves left out, of texts that belong to no route, and of
 * each route's examples for the other routes.
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
    // with its route left out, a text is a stranger to all others
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
