import { WeirError } from '../../core/errors.ts'
import type { Encoder, EncoderSpec } from '../../models/encoders/encoder.ts'

/** A made-up encoder of five words and a length, so that a router's tests need no fitted one. */
export const WORDS = ['prove', 'code', 'why', 'hello', 'integral'] as const

export const wordSpec: EncoderSpec = {
  kind: 'words',
  id: 'words-5',
  dimension: WORDS.length + 1,
  output: 'dense',
  files: [],
  options: {},
}

/** Reads at most this many characters. */
export const WORD_LIMIT = 10_000

export async function loadWordEncoder(spec: EncoderSpec): Promise<Encoder> {
  const d = spec.dimension
  return {
    spec,
    async encode(prompts, signal) {
      if (signal?.aborted) throw new WeirError('cancelled', { signal: 'the caller' })
      const values = new Float32Array(prompts.length * d)
      const truncated = new Uint8Array(prompts.length)
      prompts.forEach((prompt, row) => {
        const words = prompt.slice(0, WORD_LIMIT).toLowerCase().split(/\W+/)
        WORDS.forEach((word, i) => {
          values[row * d + i] = words.filter((got) => got === word).length
        })
        values[row * d + WORDS.length] = Math.log1p(words.length) / 4
        truncated[row] = prompt.length > WORD_LIMIT ? 1 : 0
      })
      if (spec.output === 'dense') {
        return {
          embeddings: { kind: 'dense', rows: prompts.length, dimension: d, values },
          truncated,
        }
      }
      const offsets = new Uint32Array(prompts.length + 1)
      const ids: number[] = []
      for (let row = 0; row < prompts.length; row++) {
        for (let i = 0; i < d; i++) if (values[row * d + i] !== 0) ids.push(row * d + i)
        offsets[row + 1] = ids.length
      }
      return {
        embeddings: {
          kind: 'sparse',
          rows: prompts.length,
          dimension: d,
          offsets,
          ids: Uint32Array.from(ids, (at) => at % d),
          weights: Float32Array.from(ids, (at) => values[at]!),
        },
        truncated,
      }
    },
    featureNames: () =>
      new Map([...WORDS.map((word, i) => [i, `word ${word}`] as const), [WORDS.length, 'length']]),
  }
}
