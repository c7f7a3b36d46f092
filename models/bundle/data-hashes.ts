import { WeirError } from '../../core/errors.ts'
import { HASH_PREFIX_LENGTH, promptHash } from '../../core/hash.ts'
import { wholeText } from '../reading/recipe.ts'
import { isConversation, withoutContext } from '../reading/transcript.ts'

/** `data-hashes.bin`: the prompts a router was made from, so that it is not evaluated on them. */
export const DATA_HASHES_FILE = 'data-hashes.bin'

export const SEEN_PARTS = ['train', 'validation', 'calibration'] as const
export type SeenPart = (typeof SEEN_PARTS)[number]

/** Hex prompt hashes (full or prefixes) by the part they were used in. */
export type SeenPrompts = Readonly<Partial<Record<SeenPart, Iterable<string>>>>

export interface DataHashes {
  readonly size: number
  /** Where the prompt with this SHA-256 (hex) was used; if in several parts, the first of them. */
  seenIn(hash: string): SeenPart | undefined
}

/**
 * A record is 9 bytes: the first 8 bytes of the hash, then the index of its part in SEEN_PARTS. Records are
 * sorted and each hash appears once, so a lookup is a binary search in the file's bytes.
 */
const PREFIX = HASH_PREFIX_LENGTH / 2
const RECORD = PREFIX + 1

export function encodeDataHashes(seen: SeenPrompts): Uint8Array {
  const parts = new Map<string, number>()
  SEEN_PARTS.forEach((part, index) => {
    for (const hash of seen[part] ?? []) {
      const prefix = hash.slice(0, HASH_PREFIX_LENGTH)
      if (!parts.has(prefix)) parts.set(prefix, index)
    }
  })
  const bytes = Buffer.alloc(parts.size * RECORD)
  let at = 0
  for (const prefix of [...parts.keys()].sort()) {
    bytes.write(prefix, at, PREFIX, 'hex')
    bytes[at + PREFIX] = parts.get(prefix)!
    at += RECORD
  }
  return bytes
}

/** Decodes the output of `encodeDataHashes` into hash prefixes by part, so that more can be added. */
export function seenPrompts(bytes: Uint8Array): Record<SeenPart, string[]> {
  const seen: Record<SeenPart, string[]> = { train: [], validation: [], calibration: [] }
  const table = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at + RECORD <= table.length; at += RECORD) {
    const part = SEEN_PARTS[table[at + PREFIX]!]
    if (part) seen[part].push(table.toString('hex', at, at + PREFIX))
  }
  return seen
}

/** @throws bundle_invalid if the bytes are not whole records; `path` is the file named in the message */
export function decodeDataHashes(bytes: Uint8Array, path: string): DataHashes {
  if (bytes.length % RECORD !== 0) {
    throw new WeirError('bundle_invalid', {
      path,
      reason: `${DATA_HASHES_FILE} is ${bytes.length} bytes, expected records of ${RECORD}`,
    })
  }
  const table = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const size = bytes.length / RECORD
  return {
    size,
    seenIn(hash) {
      const wanted = Buffer.from(hash.slice(0, HASH_PREFIX_LENGTH), 'hex')
      let low = 0
      let high = size - 1
      while (low <= high) {
        const middle = (low + high) >>> 1
        const at = middle * RECORD
        const order = table.compare(wanted, 0, PREFIX, at, at + PREFIX)
        if (order === 0) return SEEN_PARTS[table[at + PREFIX]!]
        if (order < 0) low = middle + 1
        else high = middle - 1
      }
      return undefined
    },
  }
}

/**
 * Where a router's making used a stored prompt with this hash, whatever context is declared of it. Bundles from
 * before transcripts know a conversation by the hash of its whole text.
 */
export function seenPartOf(text: string, hash: string, seen: DataHashes): SeenPart | undefined {
  const bare = withoutContext(text)
  const part = seen.seenIn(bare === text ? hash : promptHash(bare))
  if (part || !isConversation(bare)) return part
  return seen.seenIn(promptHash(wholeText(bare)))
}
