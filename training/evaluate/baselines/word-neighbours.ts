/** Number of neighbours that a prompt is scored from, and the number of rows their mean is shrunk by. */
const NEIGHBOURS = 50
const PRIOR_WEIGHT = 5
/**
 * Words in more than this share of the reference prompts are skipped: they carry little and cost most of the
 * time.
 */
const COMMON_SHARE = 0.1
/** Maximum number of distinct words of a prompt that are looked up, rarest first. */
const WORDS_LOOKED_AT = 64

/**
 * The kNN baseline: the mean label of the nearest reference prompts by cosine over TF-IDF words, weighted by
 * the cosine and shrunk to the overall mean. It needs no encoder, so every report can include it.
 */
export function wordNeighbourScores(
  reference: readonly string[],
  labels: ArrayLike<number>,
  prompts: readonly string[],
): Float64Array {
  const index = indexWords(reference)
  let overall = 0
  for (let i = 0; i < reference.length; i++) overall += labels[i]! / reference.length
  const similarity = new Float64Array(reference.length)
  const touched = new Int32Array(reference.length)
  const near = new Int32Array(NEIGHBOURS)
  return Float64Array.from(prompts, (prompt) => {
    const found = similarities(index, prompt, similarity, touched)
    nearest(similarity, touched, found, near)
    let sum = PRIOR_WEIGHT * overall
    let weight = PRIOR_WEIGHT
    for (let k = 0; k < Math.min(found, NEIGHBOURS); k++) {
      sum += similarity[near[k]!]! * labels[near[k]!]!
      weight += similarity[near[k]!]!
    }
    for (let k = 0; k < found; k++) similarity[touched[k]!] = 0
    return sum / weight
  })
}

interface WordIndex {
  readonly weights: ReadonlyMap<string, { readonly idf: number; readonly rows: Int32Array }>
  readonly norms: Float64Array
}

function indexWords(reference: readonly string[]): WordIndex {
  const rows = new Map<string, number[]>()
  reference.forEach((prompt, row) => {
    for (const word of wordsOf(prompt)) {
      const list = rows.get(word)
      if (list) list.push(row)
      else rows.set(word, [row])
    }
  })
  const limit = Math.max(5, COMMON_SHARE * reference.length)
  const squares = new Float64Array(reference.length)
  const weights = new Map<string, { idf: number; rows: Int32Array }>()
  for (const [word, list] of rows) {
    if (list.length > limit) continue
    const idf = Math.log((1 + reference.length) / (1 + list.length)) + 1
    for (const row of list) squares[row]! += idf * idf
    weights.set(word, { idf, rows: Int32Array.from(list) })
  }
  return { weights, norms: squares.map(Math.sqrt) }
}

/** Fills `similarity` for the rows that share a word, lists them in `touched` and returns their number. */
function similarities(
  { weights, norms }: WordIndex,
  prompt: string,
  similarity: Float64Array,
  touched: Int32Array,
): number {
  const known = [...wordsOf(prompt)].flatMap((word) => weights.get(word) ?? [])
  known.sort((a, b) => b.idf - a.idf)
  let found = 0
  let squares = 0
  for (const { idf, rows } of known.slice(0, WORDS_LOOKED_AT)) {
    squares += idf * idf
    for (const row of rows) {
      if (similarity[row] === 0) touched[found++] = row
      similarity[row]! += (idf * idf) / norms[row]!
    }
  }
  const norm = Math.sqrt(squares)
  for (let k = 0; k < found; k++) similarity[touched[k]!]! /= norm
  return found
}

/** Writes the most similar touched rows into `near`, best first, by insertion: few rows enter a short list. */
function nearest(
  similarity: Float64Array,
  touched: Int32Array,
  found: number,
  near: Int32Array,
): void {
  let size = 0
  for (let k = 0; k < found; k++) {
    const row = touched[k]!
    const value = similarity[row]!
    if (size === NEIGHBOURS && value <= similarity[near[size - 1]!]!) continue
    let at = size < NEIGHBOURS ? size++ : size - 1
    while (at > 0 && similarity[near[at - 1]!]! < value) {
      near[at] = near[at - 1]!
      at -= 1
    }
    near[at] = row
  }
}

function wordsOf(prompt: string): Set<string> {
  return new Set(
    prompt
      .slice(0, 8_000)
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu),
  )
}
