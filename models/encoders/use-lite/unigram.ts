import Type from 'typebox'
import Value from 'typebox/value'
import { WeirError } from '../../../core/errors.ts'

/**
 * Pieces of a SentencePiece unigram model with their log-probabilities, in id order. A few scores in the
 * shipped vocabulary are null and count as 0, as in the reference.
 */
export const Vocabulary = Type.Array(
  Type.Tuple([Type.String(), Type.Union([Type.Number(), Type.Null()])]),
  { minItems: 7 },
)
export type Vocabulary = Type.Static<typeof Vocabulary>

/** @throws bundle_invalid */
export function parseVocabulary(bytes: Uint8Array, path: string): Vocabulary {
  const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
  if (Value.Check(Vocabulary, value)) return value
  throw new WeirError('bundle_invalid', { path, reason: 'it is not a list of pieces and scores' })
}

/** Ids below this are control symbols (unknown, <s>, </s>, ...), never found in text. */
const RESERVED = 6
const UNKNOWN = 0
const SPACE = '\u2581'
const UNIT_LIMIT = 0x10000

export interface UnigramTokenizer {
  /** Piece ids of the most probable segmentation; a run of unknown characters becomes one unknown piece. */
  encode(text: string): number[]
}

/**
 * Unigram segmentation (Kudo 2018, arXiv 1804.10959) by Viterbi over a trie; time is linear in the text, as
 * no piece is longer than 16 characters. Normalises like the reference: NFKC, a leading space, spaces written
 * as U+2581. Ties go to the shorter last piece, and unknown characters score 0, as in the reference.
 */
export function createUnigramTokenizer(vocabulary: Vocabulary): UnigramTokenizer {
  const trie = buildTrie(vocabulary)
  return {
    encode(text) {
      const normalised = text.normalize('NFKC')
      if (normalised === '') return []
      return segment(trie, `${SPACE}${normalised.replaceAll(' ', SPACE)}`)
    },
  }
}

interface Trie {
  /** UTF-16 unit -> letter number from 1; 0 if no piece contains it. No piece has letters beyond the BMP. */
  readonly letters: Uint16Array
  readonly alphabet: number
  /** Open addressing: node * alphabet + letter + 1, or 0 if free; the child is at the same slot. */
  readonly keys: Int32Array
  readonly children: Int32Array
  /** The piece that ends at a node, or -1. */
  readonly pieces: Int32Array
  readonly scores: Float64Array
}

function buildTrie(vocabulary: Vocabulary): Trie {
  const letters = new Uint16Array(UNIT_LIMIT)
  let alphabet = 1
  let units = 0
  for (const [piece] of vocabulary.slice(RESERVED)) {
    units += piece.length
    for (let i = 0; i < piece.length; i++) {
      const unit = piece.charCodeAt(i)
      if (letters[unit] === 0) letters[unit] = alphabet++
    }
  }
  const size = 2 ** Math.ceil(Math.log2(2 * units + 2))
  const keys = new Int32Array(size)
  const children = new Int32Array(size)
  const pieces = new Int32Array(units + 1).fill(-1)
  let nodes = 1
  const trie: Trie = {
    letters,
    alphabet,
    keys,
    children,
    pieces,
    scores: Float64Array.from(vocabulary, ([, score]) => score ?? 0),
  }
  for (let id = RESERVED; id < vocabulary.length; id++) {
    const piece = vocabulary[id]![0]
    let node = 0
    for (let i = 0; i < piece.length; i++) {
      const slot = findSlot(trie, node, letters[piece.charCodeAt(i)]!)
      if (keys[slot] === 0) {
        keys[slot] = node * alphabet + letters[piece.charCodeAt(i)]! + 1
        children[slot] = nodes++
      }
      node = children[slot]!
    }
    pieces[node] = id
  }
  return trie
}

/** The edge's slot, or the free slot where it would go. */
function findSlot({ keys, alphabet }: Trie, node: number, letter: number): number {
  const key = node * alphabet + letter + 1
  const mask = keys.length - 1
  let slot = Math.imul(key, 0x9e3779b1) >>> 0
  slot = (slot ^ (slot >>> 15)) & mask
  while (keys[slot] !== 0 && keys[slot] !== key) slot = (slot + 1) & mask
  return slot
}

function segment(trie: Trie, text: string): number[] {
  const { letters, keys, children, pieces, scores } = trie
  const length = text.length
  const best = new Float64Array(length + 1).fill(-Infinity)
  const piece = new Int32Array(length + 1)
  const from = new Int32Array(length + 1)
  best[0] = 0
  for (let start = 0; start < length; start++) {
    const base = best[start]!
    if (base === -Infinity) continue
    let found = false
    let node = 0
    for (let end = start; end < length; end++) {
      const letter = letters[text.charCodeAt(end)]!
      if (letter === 0) break
      const slot = findSlot(trie, node, letter)
      if (keys[slot] === 0) break
      node = children[slot]!
      const id = pieces[node]!
      if (id < 0) continue
      found = true
      const score = base + scores[id]!
      if (score >= best[end + 1]!) {
        best[end + 1] = score
        piece[end + 1] = id
        from[end + 1] = start
      }
    }
    if (found) continue
    const end = start + symbolLength(text, start)
    if (base >= best[end]!) {
      best[end] = base
      piece[end] = UNKNOWN
      from[end] = start
    }
  }
  const backwards: number[] = []
  for (let end = length; end > 0; end = from[end]!) {
    const id = piece[end]!
    if (id !== UNKNOWN || backwards.at(-1) !== UNKNOWN) backwards.push(id)
  }
  return backwards.reverse()
}

function symbolLength(text: string, at: number): number {
  return text.codePointAt(at)! >= UNIT_LIMIT ? 2 : 1
}
