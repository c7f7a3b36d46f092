import { WeirError } from '../../../core/errors.ts'
import { createSession, openOrt } from '../../onnx/session.ts'
import type { Pooling } from './settings.ts'

/** Outputs that sentence encoders are exported with, in order of preference. */
const OUTPUTS = ['sentence_embedding', 'last_hidden_state', 'token_embeddings']
const INPUTS = new Set(['input_ids', 'attention_mask', 'token_type_ids', 'position_ids'])

/** An exported transformer: token ids in, token vectors [n, t, d] or sentence vectors [n, d] out. */
export interface Transformer {
  /** false if the graph has no attention mask, so that rows of different lengths cannot run together */
  readonly masks: boolean
  /** @param wanted the output to read; by default the first of those that sentence encoders have */
  chooseOutput(wanted?: string): string
  run(
    output: string,
    ids: BigInt64Array,
    mask: BigInt64Array,
    dims: readonly [number, number],
  ): Promise<{ readonly values: Float32Array; readonly dims: readonly number[] }>
  close(): Promise<void>
}

export async function openTransformer(model: Uint8Array, threads: number): Promise<Transformer> {
  const ort = await openOrt()
  const session = await createSession(model, { threads })
  const unknown = session.inputNames.filter((name) => !INPUTS.has(name))
  if (unknown.length > 0 || !session.inputNames.includes('input_ids')) {
    await session.release()
    throw new WeirError('encoder_files_invalid', {
      expected: `inputs among ${[...INPUTS].join(', ')}`,
      path: 'the ONNX graph',
      got: session.inputNames,
    })
  }
  let closed = false
  const wants = (name: string): boolean => session.inputNames.includes(name)
  return {
    masks: wants('attention_mask'),
    chooseOutput(wanted) {
      const { outputNames: names } = session
      if (wanted === undefined) return OUTPUTS.find((name) => names.includes(name)) ?? names[0]!
      if (names.includes(wanted)) return wanted
      const expected = `an output ${wanted}`
      throw new WeirError('encoder_files_invalid', {
        expected,
        path: 'the ONNX graph',
        got: [...names],
      })
    },
    async run(output, ids, mask, dims) {
      const int64 = (data: BigInt64Array): InstanceType<typeof ort.Tensor> =>
        new ort.Tensor('int64', data, [...dims])
      const feeds: Record<string, InstanceType<typeof ort.Tensor>> = { input_ids: int64(ids) }
      if (wants('attention_mask')) feeds.attention_mask = int64(mask)
      if (wants('token_type_ids')) feeds.token_type_ids = int64(new BigInt64Array(ids.length))
      if (wants('position_ids')) {
        feeds.position_ids = int64(BigInt64Array.from(ids, (_, i) => BigInt(i % dims[1])))
      }
      let result: Awaited<ReturnType<typeof session.run>>
      try {
        result = await session.run(feeds, [output])
      } catch (cause) {
        throw new WeirError(
          'onnx_failed',
          { action: 'run the encoder', reason: (cause as Error).message },
          { cause },
        )
      }
      const tensor = result[output]!
      if (!(tensor.data instanceof Float32Array) || tensor.dims.length < 2) {
        throw new WeirError('encoder_files_invalid', {
          expected: `float32 [n, d] or [n, t, d] as output ${output}`,
          path: 'the ONNX graph',
          got: `${tensor.type} of ${tensor.dims.length} dimensions`,
        })
      }
      return { values: tensor.data, dims: tensor.dims }
    },
    async close() {
      if (!closed) await session.release()
      closed = true
    },
  }
}

/** The token vectors of one prompt inside a batch's output [rows, width, d], row-major. */
export interface TokenVectors {
  readonly values: Float32Array
  readonly d: number
  /** index of the row's first token, in tokens */
  readonly start: number
  /** number of tokens that pooling skips, and the end of the row's real tokens, both relative to `start` */
  readonly skip: number
  readonly length: number
}

/** Pools one prompt's tokens into `out` [d] like sentence-transformers; sums in double precision. */
export function pool(pooling: Pooling, tokens: TokenVectors, out: Float32Array): void {
  const { values, d, start, length } = tokens
  const skip = Math.min(tokens.skip, Math.max(0, length - 1))
  const at = (token: number, j: number): number => values[(start + token) * d + j]!
  if (length === 0) {
    out.fill(0)
    return
  }
  for (let j = 0; j < d; j++) {
    if (pooling === 'cls') out[j] = at(0, j)
    else if (pooling === 'last_token') out[j] = at(length - 1, j)
    else if (pooling === 'max') {
      let largest = -Infinity
      for (let t = skip; t < length; t++) largest = Math.max(largest, at(t, j))
      out[j] = largest
    } else {
      let sum = 0
      let weight = 0
      for (let t = skip; t < length; t++) {
        const w = pooling === 'weighted_mean' ? t + 1 : 1
        sum += w * at(t, j)
        weight += w
      }
      out[j] = sum / (pooling === 'mean_sqrt_len' ? Math.sqrt(weight) : weight)
    }
  }
}

/** Divides a vector by its Euclidean norm, in place; a zero vector is left unchanged. */
export function normalise(vector: Float32Array): void {
  let squares = 0
  for (const value of vector) squares += value * value
  if (squares === 0) return
  const norm = Math.sqrt(squares)
  for (let j = 0; j < vector.length; j++) vector[j]! /= norm
}

/** Rows of similar length that run together, and the length of the longest. */
export interface LengthBatch {
  readonly rows: readonly number[]
  readonly width: number
}

/** Padding is wasted work, so a batch ends before a row more than this factor longer than its shortest. */
const PADDING = 1.1

/**
 * Groups rows by length, at most `limit` per batch. Grouping affects only speed: encoders mask padding, so a
 * row's values do not depend on its batch.
 *
 * @param lengths tokens of each row; rows of length 0 are left out
 */
export function lengthBatches(lengths: readonly number[], limit: number): LengthBatch[] {
  const order = lengths
    .map((length, row) => ({ length, row }))
    .filter(({ length }) => length > 0)
    .sort((a, b) => a.length - b.length || a.row - b.row)
  const batches: { rows: number[]; width: number; shortest: number }[] = []
  for (const { length, row } of order) {
    const last = batches.at(-1)
    if (last && last.rows.length < limit && length <= last.shortest * PADDING) {
      last.rows.push(row)
      last.width = length
    } else batches.push({ rows: [row], width: length, shortest: length })
  }
  return batches
}
