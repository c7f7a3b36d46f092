import { WeirError } from '../../core/errors.ts'
import { type Embeddings, type SparseEmbeddings, takeRows } from '../encoders/embeddings.ts'
import type { Scores } from '../families/linear-head.ts'
import { NEIGHBOUR_OUTPUTS } from '../families/neighbours-graph.ts'
import {
  createSession,
  type OrtModule,
  type OrtSession,
  type OrtTensor,
  openOrt,
} from '../onnx/session.ts'

/** Rows per run: bounds the padded matrices of sparse rows to tens of megabytes. */
const CHUNK = 256

/** The training rows' weights for one prompt, in the order of the head's rows. */
export interface NeighbourWeights {
  /** cosine; n */
  readonly similarity: Float64Array
  /** the kernel's weight, 0 or more; n */
  readonly weight: Float64Array
}

export interface GraphHead {
  score(embeddings: Embeddings): Promise<Scores>
  /** The weights for one row; undefined if the graph does not output them. */
  neighbours(embeddings: Embeddings): Promise<NeighbourWeights | undefined>
  close(): Promise<void>
}

/** Runs a head's `router.onnx`; the signature is that of `Family.graph`. */
export async function openGraphHead(model: Uint8Array, threads: number): Promise<GraphHead> {
  const ort = await openOrt()
  const session = await createSession(model, { threads })
  // a calibrated graph also outputs the raw win rate: the router applies the map, so it is applied only once
  const winRateName = session.outputNames.includes(RAW) ? RAW : 'win_rate'
  // selected by name, so that outputs only `explain` reads are not fetched
  const scored = [winRateName, 'quality'].filter((name) => session.outputNames.includes(name))
  const explained = Object.values(NEIGHBOUR_OUTPUTS)
  return {
    async score(embeddings) {
      const winRate = new Float64Array(embeddings.rows)
      let quality: Float64Array | undefined
      for (let start = 0; start < embeddings.rows; start += CHUNK) {
        const rows = Math.min(CHUNK, embeddings.rows - start)
        const part =
          rows === embeddings.rows
            ? embeddings
            : takeRows(
                embeddings,
                Array.from({ length: rows }, (_, i) => start + i),
              )
        const outputs = await run(ort, session, part, scored)
        const rates = outputs[winRateName]?.data
        if (!(rates instanceof Float32Array) || rates.length !== rows) {
          const reason = `expected an output win_rate of ${rows} numbers`
          throw new WeirError('onnx_failed', { action: 'score the prompts', reason })
        }
        winRate.set(rates, start)
        const values = outputs.quality?.data
        if (values instanceof Float32Array) {
          const width = values.length / rows
          quality ??= new Float64Array(embeddings.rows * width)
          quality.set(values, start * width)
        }
      }
      return quality ? { winRate, quality } : { winRate }
    },
    async neighbours(embeddings) {
      if (!explained.every((name) => session.outputNames.includes(name))) return undefined
      const outputs = await run(ort, session, takeRows(embeddings, [0]), explained)
      const similarity = outputs[NEIGHBOUR_OUTPUTS.similarity]?.data
      const weight = outputs[NEIGHBOUR_OUTPUTS.weight]?.data
      if (!(similarity instanceof Float64Array && weight instanceof Float64Array)) {
        const reason = `expected outputs ${explained.join(' and ')} of double numbers`
        throw new WeirError('onnx_failed', { action: 'weigh the neighbours', reason })
      }
      return { similarity, weight }
    },
    close: () => session.release(),
  }
}

const RAW = 'win_rate_raw'

async function run(
  ort: OrtModule,
  session: OrtSession,
  embeddings: Embeddings,
  fetches: readonly string[],
): Promise<Record<string, OrtTensor>> {
  const { rows, dimension } = embeddings
  try {
    return await session.run(
      embeddings.kind === 'dense'
        ? { embedding: new ort.Tensor('float32', embeddings.values, [rows, dimension]) }
        : paddedTensors(ort, embeddings),
      fetches,
    )
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new WeirError('onnx_failed', { action: 'score the prompts', reason }, { cause })
  }
}

/** Rows padded to the longest one with id 0 at weight 0; at least one column, even if no row has features. */
function paddedTensors(ort: OrtModule, rows: SparseEmbeddings) {
  let width = 1
  for (let i = 0; i < rows.rows; i++) {
    width = Math.max(width, rows.offsets[i + 1]! - rows.offsets[i]!)
  }
  const ids = new BigInt64Array(rows.rows * width)
  const weights = new Float32Array(rows.rows * width)
  for (let i = 0; i < rows.rows; i++) {
    const from = rows.offsets[i]!
    for (let j = from; j < rows.offsets[i + 1]!; j++) {
      ids[i * width + j - from] = BigInt(rows.ids[j]!)
      weights[i * width + j - from] = rows.weights[j]!
    }
  }
  const shape = [rows.rows, width]
  return {
    ids: new ort.Tensor('int64', ids, shape),
    weights: new ort.Tensor('float32', weights, shape),
  }
}
