import { WeirError } from '../../core/errors.ts'
import type { LinearHead } from '../families/linear-head.ts'
import type { HeadShape, Manifest } from './manifest.ts'

/**
 * `head.bin`: the folded head as little-endian float32: `dimension x outputs` weights, row-major, then
 * `outputs` biases. Its shape and link are in the manifest.
 */
export const HEAD_FILE = 'head.bin'
export const FALLBACK_HEAD_FILE = 'fallback/head.bin'

export function encodeHead(head: LinearHead): Uint8Array {
  const values = new Float32Array(head.weights.length + head.bias.length)
  values.set(head.weights)
  values.set(head.bias, head.weights.length)
  const bytes = Buffer.from(values.buffer)
  return BIG_ENDIAN ? bytes.swap32() : bytes
}

/** @throws bundle_invalid if the manifest's shape does not match the bytes or the candidates */
export function decodeHead(
  bytes: Uint8Array,
  shape: HeadShape,
  encoderDimension: number,
  manifest: Manifest,
  path: string,
): LinearHead {
  const { link, outputs, dimension } = shape
  const expected = (dimension * outputs + outputs) * 4
  if (bytes.length !== expected) {
    throw invalid(path, `${HEAD_FILE} is ${bytes.length} bytes, its shape needs ${expected}`)
  }
  if (dimension !== encoderDimension) {
    throw invalid(path, `head.dimension is ${dimension}, the encoder gives ${encoderDimension}`)
  }
  if (outputs !== (link === 'pair' ? 1 : manifest.candidates.length)) {
    throw invalid(path, `head.outputs is ${outputs} for ${manifest.candidates.length} candidates`)
  }
  const copy = Buffer.from(bytes)
  if (BIG_ENDIAN) copy.swap32()
  const values = new Float32Array(copy.buffer.slice(copy.byteOffset, copy.byteOffset + expected))
  if (!values.every(Number.isFinite)) throw invalid(path, `${HEAD_FILE} holds a number not finite`)
  return {
    link,
    outputs,
    dimension,
    weights: values.subarray(0, dimension * outputs),
    bias: values.subarray(dimension * outputs),
    strong: roleIndex(manifest, 'strong', path),
    weak: roleIndex(manifest, 'weak', path),
  }
}

/** Index of the candidate with this role; candidates are in the order of the head's outputs. */
export function roleIndex(manifest: Manifest, role: 'strong' | 'weak', path: string): number {
  const matches = manifest.candidates.filter((candidate) => candidate.role === role)
  if (matches.length !== 1) {
    throw invalid(
      path,
      `candidates: expected one with role ${JSON.stringify(role)}, got ${matches.length}`,
    )
  }
  return manifest.candidates.indexOf(matches[0]!)
}

const invalid = (path: string, reason: string): WeirError =>
  new WeirError('bundle_invalid', { path, reason })

const BIG_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 0
