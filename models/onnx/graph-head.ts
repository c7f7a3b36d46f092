import { type Embeddings, type SparseEmbeddings, takeRows } from '../embeddings.ts'
import { WeirError } from '../errors.ts'
import type { Scores } from '../scores.ts'
import { createSession, type OrtModule, type OrtSession, openOrt } from './session.ts'

/** Rows a run: bounds the padded matrices of sparse rows to tens of megabytes. */
const CHUNK = 256

export interface GraphHead {
  score(embeddings: Embeddings): Promise<Scores>
  close(): Promise<void>
}

/** Runs a head's `router.onnx`; the signature is that of `Family.graph`. */
export async function openGraphHead(model: Uint8Array, threads: number): Promise<GraphHead> {
  const ort = await openOrt()
  const session = await createSession(model, { threads })
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
        const outputs = await run(ort, session, part)
        winRate.set(outputs.winRate, start)
        if (outputs.quality) {
          const width = outputs.quality.length / rows
          quality ??= new Float64Array(embeddings.rows * width)
          quality.set(outputs.quality, start * width)
        }
      }
      return quality ? { winRate, quality } : { winRate }
    },
    close: () => session.release(),
  }
}

async function run(
  ort: OrtModule,
  session: OrtSession,
  embeddings: Embeddings,
): Promise<{ winRate: Float32Array; quality?: Float32Array }> {
  try {
    const outputs = await session.run(
      embeddings.kind === 'dense'
        ? {
            embedding: new ort.Tensor('float32', embeddings.values, [
              embeddings.rows,
              embeddings.dimension,
            ]),
          }
        : paddedTensors(ort, embeddings),
    )
    // a calibrated graph gives the raw win rate beside: the map is applied once, by the router
    const winRate = (outputs.win_rate_raw ?? outputs.win_rate)?.data
    if (!(winRate instanceof Float32Array) || winRate.length !== embeddings.rows) {
      throw new Error(`expected an output win_rate of ${embeddings.rows} numbers`)
    }
    const quality = outputs.quality?.data
    return quality instanceof Float32Array ? { winRate, quality } : { winRate }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new WeirError('onnx_failed', { action: 'score the prompts', reason }, { cause })
  }
}

/** Rows padded to the longest one with id 0 at weight 0; at least one column, for rows without features. */
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
