import { WeirError } from '../core/errors.ts'
import {
  DATA_HASHES_FILE,
  encodeDataHashes,
  type SeenPrompts,
} from '../models/bundle/data-hashes.ts'
import { openGraphHead } from '../models/bundle/graph-head.ts'
import { encodeHead, HEAD_FILE } from '../models/bundle/head-file.ts'
import type { Manifest } from '../models/bundle/manifest.ts'
import { ROUTER_FILE } from '../models/bundle/read.ts'
import type { Embeddings } from '../models/encoders/embeddings.ts'
import type { EncoderArtifact } from '../models/encoders/encoder.ts'
import type { Family, HeadWeights, Pair } from '../models/families/family.ts'
import { type LinearHead, scoreLinear } from '../models/families/linear-head.ts'
import { encodeOnnx } from '../models/onnx/encode.ts'

/** Largest accepted difference between ONNX Runtime's win rates and those of the plain forward pass. */
export const PARITY_LIMIT = 1e-6

export interface ExportInput {
  readonly family: Family
  readonly weights: HeadWeights
  readonly pair: Pair
  readonly encoder: EncoderArtifact
  /** held-back prompts on which all forms of the head are compared */
  readonly probes: Embeddings
  readonly threshold: number
  readonly seen: SeenPrompts
}

export interface ExportedRouter {
  readonly files: ReadonlyMap<string, Uint8Array>
  readonly head: NonNullable<Manifest['head']> | undefined
  readonly linear: LinearHead | undefined
  /** the largest difference found on the probes */
  readonly difference: number
}

/**
 * Exports a trained head as the files of a bundle. Throws `export_mismatch` unless ONNX Runtime, the folded
 * head and the plain forward pass agree on the probes within PARITY_LIMIT and decide the same.
 */
export async function exportRouter(input: ExportInput): Promise<ExportedRouter> {
  const { family, weights, pair, encoder, probes } = input
  const spec = encoder.encoder.spec
  const model = encodeOnnx(
    family.graph(weights, pair, { kind: spec.output, dimension: spec.dimension }),
  )
  const expected = family.forward(weights, pair, probes).winRate
  const session = await openGraphHead(model, 1)
  let difference: number
  try {
    const graph = await session.score(probes)
    difference = compare(expected, graph.winRate, input.threshold)
  } finally {
    await session.close()
  }
  const linear = family.fold?.(weights, pair)
  if (linear) {
    const folded = scoreLinear(linear, probes).winRate
    difference = Math.max(difference, compare(expected, folded, input.threshold))
  }
  const files = new Map(encoder.files)
  files.set(ROUTER_FILE, model)
  files.set(DATA_HASHES_FILE, encodeDataHashes(input.seen))
  if (linear) files.set(HEAD_FILE, encodeHead(linear))
  return {
    files,
    linear,
    head: linear && {
      link: linear.link,
      outputs: linear.outputs,
      dimension: linear.dimension,
    },
    difference,
  }
}

function compare(expected: Float64Array, got: Float64Array, threshold: number): number {
  let difference = 0
  let flipped = 0
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs(expected[i]! - got[i]!)
    // written so that NaN counts as the largest difference
    if (!(distance <= difference)) difference = Number.isNaN(distance) ? Infinity : distance
    // a score within the tolerance of the threshold may fall on either side
    const near = Math.abs(expected[i]! - threshold) <= PARITY_LIMIT
    if (!near && expected[i]! >= threshold !== got[i]! >= threshold) flipped++
  }
  if (difference > PARITY_LIMIT || flipped > 0) {
    throw new WeirError('export_mismatch', { difference, limit: PARITY_LIMIT, flipped })
  }
  return difference
}
