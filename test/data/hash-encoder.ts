import { promptHash } from '../../core/hash.ts'
import type { Embeddings } from '../../models/encoders/embeddings.ts'
import type { Encoder } from '../../models/encoders/encoder.ts'

/** Rows made of the prompt's hash; `calls` counts prompts. */
export function hashEncoder(
  output: 'dense' | 'sparse',
  id = `hash-${output}:1`,
): Encoder & { calls: number } {
  const encoder = {
    calls: 0,
    spec: { kind: 'hash', id, dimension: 4, output, files: [], options: {} },
    async encode(prompts: readonly string[]) {
      encoder.calls += prompts.length
      const truncated = Uint8Array.from(prompts, (prompt) => (prompt.endsWith('7') ? 1 : 0))
      const numbers = prompts.map((prompt) => Buffer.from(promptHash(prompt), 'hex').subarray(0, 4))
      return { embeddings: output === 'dense' ? dense(numbers) : sparse(numbers), truncated }
    },
  }
  return encoder
}

const dense = (rows: readonly Uint8Array[]): Embeddings => ({
  kind: 'dense',
  rows: rows.length,
  dimension: 4,
  values: Float32Array.from(rows.flatMap((row) => [...row].map((value) => value / 256))),
})

/** A row has as many entries as its first byte says, none too. */
function sparse(rows: readonly Uint8Array[]): Embeddings {
  const lengths = rows.map((row) => row[0]! % 4)
  const offsets = new Uint32Array(rows.length + 1)
  lengths.forEach((length, i) => {
    offsets[i + 1] = offsets[i]! + length
  })
  const ids = Uint32Array.from(rows.flatMap((_, i) => [0, 1, 2].slice(0, lengths[i])))
  const weights = Float32Array.from(rows.flatMap((row, i) => [...row].slice(0, lengths[i])))
  return { kind: 'sparse', rows: rows.length, dimension: 4, offsets, ids, weights }
}
