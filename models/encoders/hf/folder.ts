import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import Value from 'typebox/value'
import { WeirError } from '../../../core/errors.ts'
import { firstFault } from '../../../core/schema-fault.ts'
import type { HfSettings, Pooling } from './settings.ts'

/** Where exporters put the graph, most common first. */
export const MODEL_PLACES: readonly string[] = [
  'onnx/model.onnx',
  'model.onnx',
  'onnx/model_quantized.onnx',
  'model_quantized.onnx',
  'onnx/model_qint8_avx512_vnni.onnx',
  'onnx/model_quint8_avx2.onnx',
  'onnx/model_int8.onnx',
  'onnx/model_uint8.onnx',
]
const DEFAULT_MAX_TOKENS = 512
/** tokenizers write a number above this if there is no limit */
const NO_LIMIT = 1e6

const ModulesFile = Type.Array(Type.Object({ path: Type.String(), type: Type.String() }))
const PoolingFile = Type.Object({
  pooling_mode: Type.Optional(Type.String()),
  pooling_mode_cls_token: Type.Optional(Type.Boolean()),
  pooling_mode_mean_tokens: Type.Optional(Type.Boolean()),
  pooling_mode_max_tokens: Type.Optional(Type.Boolean()),
  pooling_mode_mean_sqrt_len_tokens: Type.Optional(Type.Boolean()),
  pooling_mode_weightedmean_tokens: Type.Optional(Type.Boolean()),
  pooling_mode_lasttoken: Type.Optional(Type.Boolean()),
  include_prompt: Type.Optional(Type.Boolean()),
})
type PoolingFile = Type.Static<typeof PoolingFile>
const SentenceFile = Type.Object({
  max_seq_length: Type.Optional(Type.Union([Type.Integer(), Type.Null()])),
  do_lower_case: Type.Optional(Type.Boolean()),
})
const ConfigFile = Type.Object({
  model_type: Type.Optional(Type.String()),
  max_position_embeddings: Type.Optional(Type.Integer()),
})
const TokenizerConfigFile = Type.Object({ model_max_length: Type.Optional(Type.Number()) })
const PromptsFile = Type.Object({
  prompts: Type.Optional(Type.Record(Type.String(), Type.String())),
  default_prompt_name: Type.Optional(Type.Union([Type.String(), Type.Null()])),
})

export interface HfFolderOptions {
  /** the graph's path in the folder; by default the usual places are tried */
  readonly file?: string
  /** put before every prompt; by default the folder's default prompt, if it has one */
  readonly prefix?: string
}

export interface HfFolder {
  readonly modelPath: string
  readonly model: Uint8Array
  readonly tokenizer: Uint8Array
  readonly tokenizerConfig: Uint8Array
  readonly settings: Omit<HfSettings, 'output' | 'batch'>
  /** modules after the transformer that only an exported `sentence_embedding` output can include */
  readonly unsupported: readonly string[]
}

/**
 * Reads a sentence encoder exported to ONNX in the Hugging Face layout: `tokenizer.json`, a graph,
 * `modules.json`, `1_Pooling/config.json`, `sentence_bert_config.json`, `config_sentence_transformers.json`.
 *
 * @throws file_not_found, encoder_files_invalid (names the file)
 */
export async function readHfFolder(folder: string, options: HfFolderOptions): Promise<HfFolder> {
  const [modelPath, model] = await readModel(folder, options.file)
  const tokenizer = await readOptional(folder, 'tokenizer.json')
  if (!tokenizer) throw new WeirError('file_not_found', { path: join(folder, 'tokenizer.json') })
  const tokenizerConfig =
    (await readOptional(folder, 'tokenizer_config.json')) ?? new TextEncoder().encode('{}')

  const modules = (await readJson(folder, 'modules.json', ModulesFile)) ?? []
  const kinds = modules.map(({ type }) => type.split('.').at(-1)!)
  const poolingPath = modules[kinds.indexOf('Pooling')]?.path ?? '1_Pooling'
  const pooling = (await readJson(folder, `${poolingPath}/config.json`, PoolingFile)) ?? {}
  const sentence = await readJson(folder, 'sentence_bert_config.json', SentenceFile)
  const prompts = await readJson(folder, 'config_sentence_transformers.json', PromptsFile)
  const known = new Set(['Transformer', 'Pooling', 'Normalize'])
  return {
    modelPath,
    model,
    tokenizer,
    tokenizerConfig,
    settings: {
      pooling: poolingOf(pooling, join(folder, poolingPath, 'config.json')),
      normalise: kinds.includes('Normalize'),
      max_tokens: sentence?.max_seq_length ?? (await positionLimit(folder)),
      prefix: options.prefix ?? prompts?.prompts?.[prompts.default_prompt_name ?? ''] ?? '',
      pool_prefix: pooling.include_prompt ?? true,
      lowercase: sentence?.do_lower_case ?? false,
    },
    unsupported: kinds.filter((kind) => !known.has(kind)),
  }
}

async function positionLimit(folder: string): Promise<number> {
  const config = await readJson(folder, 'config.json', ConfigFile)
  const tokenizer = await readJson(folder, 'tokenizer_config.json', TokenizerConfigFile)
  // RoBERTa's positions start after its padding id, 1
  const offset = /roberta|camembert|mpnet/.test(config?.model_type ?? '') ? 2 : 0
  const limits = [
    config?.max_position_embeddings ? config.max_position_embeddings - offset : NO_LIMIT,
    tokenizer?.model_max_length ?? NO_LIMIT,
  ]
  const limit = Math.min(...limits)
  return limit < NO_LIMIT ? limit : DEFAULT_MAX_TOKENS
}

function poolingOf(file: PoolingFile, path: string): Pooling {
  const modes: [Pooling, boolean | undefined][] = [
    ['cls', file.pooling_mode_cls_token ?? file.pooling_mode === 'cls'],
    ['mean', file.pooling_mode_mean_tokens ?? file.pooling_mode === 'mean'],
    ['max', file.pooling_mode_max_tokens ?? file.pooling_mode === 'max'],
    [
      'mean_sqrt_len',
      file.pooling_mode_mean_sqrt_len_tokens ?? file.pooling_mode === 'mean_sqrt_len_tokens',
    ],
    [
      'weighted_mean',
      file.pooling_mode_weightedmean_tokens ?? file.pooling_mode === 'weightedmean',
    ],
    ['last_token', file.pooling_mode_lasttoken ?? file.pooling_mode === 'lasttoken'],
  ]
  const chosen = modes.filter(([, on]) => on).map(([mode]) => mode)
  if (chosen.length > 1) {
    throw new WeirError('encoder_files_invalid', {
      expected: 'one pooling mode',
      path,
      got: chosen,
    })
  }
  return chosen[0] ?? 'mean'
}

async function readModel(
  folder: string,
  file: string | undefined,
): Promise<readonly [string, Uint8Array]> {
  for (const place of file === undefined ? MODEL_PLACES : [file]) {
    const bytes = await readOptional(folder, place)
    if (bytes) return [join(folder, place), bytes]
  }
  throw new WeirError('file_not_found', { path: join(folder, file ?? MODEL_PLACES[0]!) })
}

async function readOptional(folder: string, name: string): Promise<Uint8Array | undefined> {
  const path = join(folder, name)
  try {
    return await readFile(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new WeirError('file_unreadable', { path, reason: code }, { cause })
  }
}

/** @throws encoder_files_invalid; undefined if the file is not there */
export async function readJson<T extends Type.TSchema>(
  folder: string,
  name: string,
  schema: T,
): Promise<Type.Static<T> | undefined> {
  const bytes = await readOptional(folder, name)
  if (!bytes) return undefined
  const path = join(folder, name)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder().decode(bytes))
  } catch (cause) {
    throw new WeirError('encoder_files_invalid', { expected: 'JSON', path, got: String(cause) })
  }
  if (Value.Check(schema, value)) return value
  const fault = firstFault(Value.Errors(schema, value), value)
  throw new WeirError('encoder_files_invalid', {
    expected: `${fault.field}: ${fault.expected}`,
    path,
    got: fault.got,
  })
}
