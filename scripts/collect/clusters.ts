import { throwIfAborted } from '../../core/abort.ts'
import type { OnProgress } from '../../core/progress.ts'
import { createRandom, type Random } from '../../core/random.ts'
import { eachGram } from '../../models/encoders/lexical/words.ts'
import { askedText } from '../../models/reading/transcript.ts'

/** Hashed words and pairs of words that a prompt is known by. */
const WIDTH = 1024
/** Characters of a prompt that are read. */
const READ = 2000
const ROUNDS = 12

/** A prompt's words: columns ascending with their weights, of length 1 together. */
interface Words {
  readonly columns: Int32Array
  readonly values: Float32Array
}

interface Watch {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/**
 * Groups prompts by their words: spherical k-means (Dhillon and Modha 2001) on hashed TF-IDF, begun far apart
 * (k-means++, Arthur and Vassilvitskii 2007). In time linear in the prompts' lengths and in the number of clusters.
 *
 * @returns for each prompt its cluster, from 0; clusters may stay empty
 */
export async function clustersOf(
  prompts: readonly string[],
  clusters: number,
  seed: number,
  { signal, onProgress }: Watch = {},
): Promise<Int32Array> {
  const random = createRandom(seed)
  const rows = await wordsOf(prompts, { signal, onProgress })
  const k = Math.min(clusters, rows.length)
  let centres = await farApart(rows, k, random, { signal, onProgress })
  const cluster = new Int32Array(rows.length)
  for (let round = 0; round < ROUNDS; round++) {
    onProgress?.({ stage: 'grouping prompts', done: round, total: ROUNDS })
    let moved = 0
    const sums = Array.from({ length: k }, () => new Float64Array(WIDTH))
    for (const [i, row] of rows.entries()) {
      if (i % 10_000 === 0) await turn(signal)
      const to = nearest(row, centres)
      if (to !== cluster[i]) moved++
      cluster[i] = to
      row.columns.forEach((column, at) => {
        sums[to]![column]! += row.values[at]!
      })
    }
    if (moved === 0 && round > 0) break
    centres = sums.map((sum, c) => unit(sum) ?? centres[c]!)
  }
  return cluster
}

/** Lets Ctrl-C through. */
async function turn(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  throwIfAborted(signal)
}

async function wordsOf(
  prompts: readonly string[],
  { signal, onProgress }: Watch,
): Promise<Words[]> {
  const found = new Float64Array(WIDTH)
  const counts: Map<number, number>[] = []
  for (const [i, prompt] of prompts.entries()) {
    if (i % 5000 === 0) {
      await turn(signal)
      onProgress?.({ stage: 'reading words', done: i, total: prompts.length })
    }
    const its = new Map<number, number>()
    eachGram(askedText(prompt).slice(0, READ).toLowerCase(), (hash) => {
      const column = (hash >>> 0) % WIDTH
      its.set(column, (its.get(column) ?? 0) + 1)
    })
    for (const column of its.keys()) found[column]!++
    counts.push(its)
  }
  return counts.map((its) => {
    const columns = Int32Array.from(its.keys()).sort()
    const values = Float32Array.from(
      columns,
      (column) =>
        (1 + Math.log(its.get(column)!)) * Math.log((1 + prompts.length) / (1 + found[column]!)),
    )
    const length = Math.hypot(...values)
    return { columns, values: length > 0 ? values.map((value) => value / length) : values }
  })
}

/** Prompts that are tried for each centre. */
const TRIED = 4

/** Each centre is a prompt, drawn in proportion to how far it is from those before; of a few, the one that leaves least. */
async function farApart(
  rows: readonly Words[],
  k: number,
  random: Random,
  { signal, onProgress }: Watch,
): Promise<Float64Array[]> {
  const centres: Float64Array[] = []
  const far = new Float64Array(rows.length).fill(1)
  while (centres.length < k) {
    await turn(signal)
    onProgress?.({ stage: 'first prompts of groups', done: centres.length, total: k })
    const total = far.reduce((sum, one) => sum + one, 0)
    let best: { centre: Float64Array; left: Float64Array; sum: number } | undefined
    for (let tried = 0; tried < TRIED; tried++) {
      let reached = random.next() * total
      let at = 0
      while (at < rows.length - 1 && reached >= far[at]!) reached -= far[at++]!
      const centre = new Float64Array(WIDTH)
      rows[at]!.columns.forEach((column, i) => {
        centre[column] = rows[at]!.values[i]!
      })
      const left = far.map((one, i) => Math.min(one, Math.max(0, 1 - likeness(rows[i]!, centre))))
      const sum = left.reduce((all, one) => all + one, 0)
      if (!best || sum < best.sum) best = { centre, left, sum }
    }
    centres.push(best!.centre)
    far.set(best!.left)
  }
  return centres
}

function nearest(row: Words, centres: readonly Float64Array[]): number {
  let best = 0
  let most = Number.NEGATIVE_INFINITY
  for (const [c, centre] of centres.entries()) {
    const likes = likeness(row, centre)
    if (likes <= most) continue
    most = likes
    best = c
  }
  return best
}

function likeness({ columns, values }: Words, centre: Float64Array): number {
  let sum = 0
  for (let i = 0; i < columns.length; i++) sum += values[i]! * centre[columns[i]!]!
  return sum
}

function unit(sum: Float64Array): Float64Array | undefined {
  let squares = 0
  for (const value of sum) squares += value * value
  return squares > 0 ? sum.map((value) => value / Math.sqrt(squares)) : undefined
}
