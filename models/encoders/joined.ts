import { createHash } from 'node:crypto'
import { Check } from 'typebox/value'
import { WeirError } from '../../core/errors.ts'
import { textOf } from './context.ts'
import type { DenseEmbeddings, SparseEmbeddings } from './embeddings.ts'
import { type Encoded, type Encoder, type EncoderArtifact, EncoderSpec } from './encoder.ts'

/**
 * Scale of the dense values relative to words of unit length: with one L2 penalty for all columns, unscaled
 * dense values dominate the words (docs/routers.md).
 */
export const DENSE_WEIGHT = 0.5

/**
 * `joined`: a sparse encoder's columns followed by a dense encoder's, as sparse rows. A linear head reads
 * words and meaning at once; a family that needs the dense part reads the last columns.
 */
export function joinEncoders(sparse: EncoderArtifact, dense: EncoderArtifact): EncoderArtifact {
  const parts = [sparse.encoder.spec, dense.encoder.spec] as const
  const hash = createHash('sha256').update(parts.map(({ id }) => id).join('\n'))
  const spec: EncoderSpec = {
    kind: 'joined',
    id: `joined-${hash.digest('hex').slice(0, 12)}`,
    dimension: parts[0].dimension + parts[1].dimension,
    output: 'sparse',
    files: parts.flatMap(({ files }) => files),
    options: { parts },
  }
  return {
    encoder: fromParts(spec, sparse.encoder, dense.encoder),
    files: new Map([...sparse.files, ...dense.files]),
  }
}

/** @param load opens one of the two parts from the same bundle */
export async function loadJoined(
  spec: EncoderSpec,
  load: (part: EncoderSpec) => Promise<Encoder>,
): Promise<Encoder> {
  const { parts } = spec.options
  if (!Array.isArray(parts) || parts.length !== 2 || !parts.every((p) => Check(EncoderSpec, p))) {
    throw new WeirError('bundle_invalid', {
      path: 'encoder.options.parts',
      reason: 'expected the specs of a sparse and a dense encoder',
    })
  }
  const [sparse, dense] = await Promise.all(parts.map(load))
  return fromParts(spec, sparse!, dense!)
}

function fromParts(spec: EncoderSpec, sparse: Encoder, dense: Encoder): Encoder {
  return {
    spec,
    async encode(prompts, signal): Promise<Encoded> {
      const [left, right] = await Promise.all([
        sparse.encode(prompts, signal),
        // fields are the sparse part's to read
        dense.encode(sparse.spec.kind === 'context' ? prompts.map(textOf) : prompts, signal),
      ])
      if (left.embeddings.kind !== 'sparse' || right.embeddings.kind !== 'dense') {
        throw new TypeError('joined takes a sparse encoder and a dense one')
      }
      return {
        embeddings: appendColumns(left.embeddings, right.embeddings),
        truncated: left.truncated.map((cut, row) => cut | right.truncated[row]!),
      }
    },
    fieldNames: sparse.fieldNames,
    featureNames: (prompt) => sparse.featureNames?.(prompt) ?? new Map(),
    async close() {
      await Promise.all([sparse.close?.(), dense.close?.()])
    },
  }
}

/** Sparse rows with the dense rows' values, times DENSE_WEIGHT, in the columns after the sparse ones. */
export function appendColumns(sparse: SparseEmbeddings, dense: DenseEmbeddings): SparseEmbeddings {
  const { rows } = sparse
  const d = dense.dimension
  const offsets = new Uint32Array(rows + 1)
  const ids = new Uint32Array(sparse.ids.length + rows * d)
  const weights = new Float32Array(ids.length)
  let at = 0
  for (let row = 0; row < rows; row++) {
    const from = sparse.offsets[row]!
    const to = sparse.offsets[row + 1]!
    ids.set(sparse.ids.subarray(from, to), at)
    weights.set(sparse.weights.subarray(from, to), at)
    at += to - from
    for (let k = 0; k < d; k++) {
      weights[at] = DENSE_WEIGHT * dense.values[row * d + k]!
      ids[at++] = sparse.dimension + k
    }
    offsets[row + 1] = at
  }
  return { kind: 'sparse', rows, dimension: sparse.dimension + d, offsets, ids, weights }
}
