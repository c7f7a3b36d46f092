import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted } from '../../../core/abort.ts'
import { CollectedRows, type DenseEmbeddings, type SparseEmbeddings } from '../embeddings.ts'
import type { Encoded, Encoder, EncoderArtifact, EncoderSpec } from '../encoder.ts'
import { createFeaturizer } from './featurizer.ts'
import {
  decodeLexicalState,
  encodeLexicalState,
  type LexicalProjection,
  type LexicalState,
  stateHash,
} from './state.ts'
import { SURFACE_COUNT } from './surface.ts'

export const LEXICAL_FILE = 'encoder/lexical.bin'
/** Prompts between two checks of the abort signal. */
const CHUNK = 512

/**
 * `lexical`: hashed word 1-2-grams weighted by TF-IDF, and surface features. Sparse, for linear heads; if the
 * state has a projection, dense, through a truncated SVD of the n-grams.
 */
export function createLexicalEncoder(state: LexicalState): EncoderArtifact {
  const bytes = encodeLexicalState(state)
  const columns = state.buckets.length
  const dimension = (state.projection?.dimension ?? columns) + SURFACE_COUNT
  const spec: EncoderSpec = {
    kind: 'lexical',
    id: `lexical-${state.projection ? state.projection.dimension : 'sparse'}-${stateHash(bytes)}`,
    dimension,
    output: state.projection ? 'dense' : 'sparse',
    files: [LEXICAL_FILE],
    options: {},
  }
  return { encoder: fromState(state, spec), files: new Map([[LEXICAL_FILE, bytes]]) }
}

/** Loads the encoder from a bundle's folder. */
export async function loadLexicalEncoder(spec: EncoderSpec, folder: string): Promise<Encoder> {
  const path = join(folder, LEXICAL_FILE)
  return fromState(decodeLexicalState(await readFile(path), path), spec)
}

function fromState(state: LexicalState, spec: EncoderSpec): Encoder {
  const featurizer = createFeaturizer(state)
  const { projection } = state
  return {
    spec,
    async encode(prompts, signal): Promise<Encoded> {
      throwIfAborted(signal)
      if (prompts.length <= CHUNK) return encodeChunk(prompts)
      const rows = new CollectedRows(prompts.length)
      const truncated = new Uint8Array(prompts.length)
      for (let from = 0; from < prompts.length; from += CHUNK) {
        const part = encodeChunk(prompts.slice(from, from + CHUNK))
        rows.add(part.embeddings)
        truncated.set(part.truncated, from)
        // lets an abort, a timer or another request run
        await new Promise((resolve) => setImmediate(resolve))
        throwIfAborted(signal)
      }
      return { embeddings: rows.finish(), truncated }
    },
    encodeNow(prompt) {
      const encoded = featurizer.featurizeNow(prompt)
      if (!projection) return encoded
      return { ...encoded, embeddings: project(encoded.embeddings, projection) }
    },
    featureNames: (prompt) => (projection ? new Map() : featurizer.names(prompt)),
    plainColumns: { from: spec.dimension - SURFACE_COUNT, count: SURFACE_COUNT },
  }

  function encodeChunk(prompts: readonly string[]): Encoded {
    const { embeddings, truncated } = featurizer.featurize(prompts)
    return {
      embeddings: projection ? project(embeddings, projection) : embeddings,
      truncated,
    }
  }
}

/**
 * Projects sparse rows to [projected n-grams | surface features]; sums in double precision in a fixed order.
 */
export function project(sparse: SparseEmbeddings, projection: LexicalProjection): DenseEmbeddings {
  const inner = projection.dimension
  const columns = projection.scale.length
  const dimension = inner + SURFACE_COUNT
  const values = new Float32Array(sparse.rows * dimension)
  const sums = new Float64Array(inner)
  for (let row = 0; row < sparse.rows; row++) {
    sums.fill(0)
    const to = row * dimension
    for (let j = sparse.offsets[row]!; j < sparse.offsets[row + 1]!; j++) {
      const column = sparse.ids[j]!
      const weight = sparse.weights[j]!
      if (column >= columns) {
        values[to + inner + column - columns] = weight
        continue
      }
      const step = weight * projection.scale[column]!
      const from = column * inner
      for (let k = 0; k < inner; k++) sums[k]! += step * projection.values[from + k]!
    }
    values.set(sums, to)
  }
  return { kind: 'dense', rows: sparse.rows, dimension, values }
}
