import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import Value from 'typebox/value'
import { throwIfAborted } from '../../../core/abort.ts'
import { WeirError } from '../../../core/errors.ts'
import { firstFault } from '../../../core/schema-fault.ts'
import type { Encoded, Encoder, EncoderArtifact, EncoderSpec } from '../encoder.ts'
import { type HfFolderOptions, readHfFolder } from './folder.ts'
import { HfSettings } from './settings.ts'
import { type HfTokenizer, type HfTokens, openHfTokenizer } from './tokenizer.ts'
import {
  type LengthBatch,
  lengthBatches,
  normalise,
  openTransformer,
  pool,
  type Transformer,
} from './transformer.ts'

export const HF = 'hf'
const MODEL_FILE = 'encoder/model.onnx'
const TOKENIZER_FILE = 'encoder/tokenizer.json'
const TOKENIZER_CONFIG_FILE = 'encoder/tokenizer_config.json'
const BATCH = 8

export interface HfOptions extends HfFolderOptions {
  readonly threads?: number
  /** the graph's output [n, d] that is a prompt's row as it is; by default a sentence or token embedding */
  readonly output?: string
}

/**
 * A sentence encoder exported to ONNX in the Hugging Face layout, with the pooling, normalisation, length
 * limit and prefix given in its configuration files.
 *
 * @throws file_not_found, encoder_files_invalid, onnx_failed
 */
export async function makeHf(folder: string, options: HfOptions = {}): Promise<EncoderArtifact> {
  const { threads = 1 } = options
  const read = await readHfFolder(folder, options)
  const transformer = await openTransformer(read.model, threads)
  try {
    const output = transformer.chooseOutput(options.output)
    if (
      options.output === undefined &&
      output !== 'sentence_embedding' &&
      read.unsupported.length > 0
    ) {
      throw new WeirError('encoder_files_invalid', {
        expected: 'modules Transformer, Pooling and Normalize, or an output sentence_embedding',
        path: folder,
        got: `${read.unsupported.join(', ')} and output ${output}`,
      })
    }
    // a graph that quantises activations does so over the whole batch, so rows would depend on each other
    const quantised = Buffer.from(
      read.model.buffer,
      read.model.byteOffset,
      read.model.length,
    ).includes('DynamicQuantizeLinear')
    const settings: HfSettings = {
      ...read.settings,
      ...(options.output !== undefined && { normalise: false, prefix: options.prefix ?? '' }),
      output,
      batch: quantised ? 1 : BATCH,
    }
    const files = new Map([
      [MODEL_FILE, read.model],
      [TOKENIZER_FILE, read.tokenizer],
      [TOKENIZER_CONFIG_FILE, read.tokenizerConfig],
    ])
    const hash = createHash('sha256').update(JSON.stringify(settings))
    for (const file of files.values()) hash.update(file)
    const tokenizer = await openTokenizer(files, settings)
    const spec: EncoderSpec = {
      kind: HF,
      id: `${HF}-${basename(folder)}-${hash.digest('hex').slice(0, 12)}`,
      dimension: await probeDimension(transformer, settings, tokenizer, options.output),
      output: 'dense',
      files: [...files.keys()],
      options: settings,
    }
    return { encoder: fromParts(spec, settings, tokenizer, transformer), files }
  } catch (error) {
    await transformer.close()
    throw error
  }
}

/** Opens the encoder from a bundle's files. */
export async function openHf(
  spec: EncoderSpec,
  files: ReadonlyMap<string, Uint8Array>,
  threads = 1,
): Promise<Encoder> {
  const settings: unknown = spec.options
  if (!Value.Check(HfSettings, settings)) {
    const fault = firstFault(Value.Errors(HfSettings, settings), settings)
    throw new WeirError('bundle_invalid', {
      path: spec.id,
      reason: `encoder options: ${fault.field}: expected ${fault.expected}, got ${fault.got}`,
    })
  }
  const tokenizer = await openTokenizer(files, settings)
  const transformer = await openTransformer(files.get(MODEL_FILE)!, threads)
  return fromParts(spec, settings, tokenizer, transformer)
}

function openTokenizer(
  files: ReadonlyMap<string, Uint8Array>,
  settings: HfSettings,
): Promise<HfTokenizer> {
  return openHfTokenizer(files.get(TOKENIZER_FILE)!, files.get(TOKENIZER_CONFIG_FILE)!, settings)
}

/** The graph may leave its width undefined, so it is found by running it once. */
async function probeDimension(
  transformer: Transformer,
  settings: HfSettings,
  tokenizer: HfTokenizer,
  whole: string | undefined,
): Promise<number> {
  const tokens = [tokenizer.encode('dimension')]
  const batch = { rows: [0], width: tokens[0]!.ids.length }
  if (whole !== undefined) {
    const ids = BigInt64Array.from(tokens[0]!.ids, BigInt)
    const { dims } = await transformer.run(whole, ids, ids.slice().fill(1n), [1, ids.length])
    if (dims.length !== 2) {
      throw new WeirError('encoder_files_invalid', {
        expected: `${whole} of 2 dimensions, [prompts, labels]`,
        path: 'the ONNX graph',
        got: `${dims.length} dimensions, [${dims}]`,
      })
    }
  }
  return (await runBatch(transformer, settings, tokenizer.padId, tokens, batch)).d
}

function fromParts(
  spec: EncoderSpec,
  settings: HfSettings,
  tokenizer: HfTokenizer,
  transformer: Transformer,
): Encoder {
  const d = spec.dimension
  return {
    spec,
    async encode(prompts, signal): Promise<Encoded> {
      throwIfAborted(signal)
      const tokens = prompts.map((prompt) => tokenizer.encode(prompt))
      const lengths = tokens.map(({ ids }) => ids.length)
      const values = new Float32Array(prompts.length * d)
      for (const batch of lengthBatches(lengths, transformer.masks ? settings.batch : 1)) {
        throwIfAborted(signal)
        const out = await runBatch(transformer, settings, tokenizer.padId, tokens, batch)
        for (const [place, row] of batch.rows.entries()) {
          values.set(out.values.subarray(place * d, (place + 1) * d), row * d)
        }
      }
      return {
        embeddings: { kind: 'dense', rows: prompts.length, dimension: d, values },
        truncated: Uint8Array.from(tokens, ({ truncated }) => (truncated ? 1 : 0)),
      }
    },
    close: () => transformer.close(),
  }
}

/** Runs one padded batch; returns [rows, d]. */
async function runBatch(
  transformer: Transformer,
  settings: HfSettings,
  padId: number,
  tokens: readonly HfTokens[],
  { rows, width }: LengthBatch,
): Promise<{ d: number; values: Float32Array }> {
  const ids = new BigInt64Array(rows.length * width).fill(BigInt(padId))
  const mask = new BigInt64Array(rows.length * width)
  for (const [place, row] of rows.entries()) {
    for (const [t, id] of tokens[row]!.ids.entries()) {
      ids[place * width + t] = BigInt(id)
      mask[place * width + t] = 1n
    }
  }
  const { values: raw, dims } = await transformer.run(settings.output, ids, mask, [
    rows.length,
    width,
  ])
  const d = dims.at(-1)!
  const values = new Float32Array(rows.length * d)
  for (const [place, row] of rows.entries()) {
    const out = values.subarray(place * d, (place + 1) * d)
    const { ids: real, skip } = tokens[row]!
    if (dims.length === 2) out.set(raw.subarray(place * d, (place + 1) * d))
    else {
      pool(
        settings.pooling,
        { values: raw, d, start: place * width, skip, length: real.length },
        out,
      )
    }
    if (settings.normalise) normalise(out)
  }
  return { d, values }
}
