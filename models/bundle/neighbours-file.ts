import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { HASH_PREFIX_LENGTH } from '../../core/hash.ts'

/**
 * `neighbours.bin`: identifies the training rows in a head, in the head's order, so that `explain` can name
 * them. One line of JSON, then one 16-byte record per row: the first 8 bytes of the prompt's hash, then the
 * observed values of the strong and the weak model as little-endian float32.
 */
export const NEIGHBOURS_FILE = 'neighbours.bin'
/**
 * `neighbours-text.jsonl`: the start of each row's prompt, one JSON string per line; written only on request.
 */
export const NEIGHBOURS_TEXT_FILE = 'neighbours-text.jsonl'

const PREFIX = HASH_PREFIX_LENGTH / 2
const RECORD = PREFIX + 8
/** Maximum characters stored of a prompt's text. */
const EXCERPT = 200

const Header = Type.Object({
  format: Type.Literal(1),
  rows: Type.Integer({ minimum: 1 }),
  /** `outcomes` of both models, or `votes` on the pair, in which case strong is its share of the votes */
  observed: Type.Union([Type.Literal('outcomes'), Type.Literal('votes')]),
  /** the result for a prompt without neighbours, and its weight relative to the neighbours */
  prior: Type.Object({
    weight: Type.Number({ minimum: 0 }),
    win_rate: Type.Number({ minimum: 0, maximum: 1 }),
  }),
})
const headerCheck = Compile(Header)

export interface NeighbourRows {
  readonly observed: 'outcomes' | 'votes'
  readonly prior: { readonly weight: number; readonly win_rate: number }
  /** SHA-256 of each prompt in hex: all of it or the first 16 digits */
  readonly hashes: readonly string[]
  /** rows x 2: the strong model's score, then the weak one's */
  readonly scores: Float32Array
}

export function encodeNeighbours({ observed, prior, hashes, scores }: NeighbourRows): Uint8Array {
  const header = JSON.stringify({ format: 1, rows: hashes.length, observed, prior })
  const bytes = Buffer.alloc(header.length + 1 + hashes.length * RECORD)
  let at = bytes.write(`${header}\n`, 'latin1')
  for (const [row, hash] of hashes.entries()) {
    bytes.write(hash, at, PREFIX, 'hex')
    bytes.writeFloatLE(scores[2 * row]!, at + PREFIX)
    bytes.writeFloatLE(scores[2 * row + 1]!, at + PREFIX + 4)
    at += RECORD
  }
  return bytes
}

/** @throws bundle_invalid; `path` is the bundle named in the message */
export function decodeNeighbours(bytes: Uint8Array, path: string): NeighbourRows {
  const table = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = table.indexOf('\n') + 1
  const header = parsed(table.toString('latin1', 0, start))
  if (!headerCheck.Check(header)) throw invalid(path, `${NEIGHBOURS_FILE} begins with no header`)
  const { rows, observed, prior } = header
  if (bytes.length !== start + rows * RECORD) {
    const reason = `${NEIGHBOURS_FILE} is ${bytes.length} bytes, ${rows} rows need ${start + rows * RECORD}`
    throw invalid(path, reason)
  }
  const hashes: string[] = []
  const scores = new Float32Array(2 * rows)
  for (let row = 0; row < rows; row++) {
    const at = start + row * RECORD
    hashes.push(table.toString('hex', at, at + PREFIX))
    scores[2 * row] = table.readFloatLE(at + PREFIX)
    scores[2 * row + 1] = table.readFloatLE(at + PREFIX + 4)
  }
  return { observed, prior, hashes, scores }
}

export function encodeNeighbourTexts(prompts: readonly string[]): Uint8Array {
  return Buffer.from(prompts.map((prompt) => `${JSON.stringify(excerpt(prompt))}\n`).join(''))
}

/** @throws bundle_invalid */
export function decodeNeighbourTexts(bytes: Uint8Array, rows: number, path: string): string[] {
  const lines = Buffer.from(bytes).toString('utf8').split('\n').slice(0, -1)
  const texts = lines.map(parsed).filter((text) => typeof text === 'string')
  if (lines.length === rows && texts.length === rows) return texts
  const reason = `${NEIGHBOURS_TEXT_FILE} holds ${texts.length} texts of ${lines.length} lines, expected ${rows}`
  throw invalid(path, reason)
}

/** Cuts by code points, so that no character is split. */
function excerpt(prompt: string): string {
  if (prompt.length <= EXCERPT) return prompt
  const cut = /[\uD800-\uDBFF]/.test(prompt[EXCERPT - 1]!) ? EXCERPT - 1 : EXCERPT
  return `${prompt.slice(0, cut)}…`
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const invalid = (path: string, reason: string): WeirError =>
  new WeirError('bundle_invalid', { path, reason })
