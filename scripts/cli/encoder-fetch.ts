import { dirname, join } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import type { OnProgress } from '../../core/progress.ts'
import { type HubOptions, listFiles } from '../../data/hub/client.ts'
import { type FetchedFile, fetchFromHub } from '../../data/hub/download.ts'
import { type HubReference, parseReference } from '../../data/hub/reference.ts'
import { MODEL_PLACES } from '../../models/encoders/hf/folder.ts'

/** The hub's address and the token for it, from the flag and the environment. */
export function hubAccess(
  endpointFlag: string | undefined,
): Pick<HubOptions, 'endpoint' | 'token'> {
  const endpoint = endpointFlag ?? process.env.HF_ENDPOINT
  const token = process.env.HF_TOKEN
  return {
    ...(endpoint && { endpoint: endpoint.replace(/\/+$/, '') }),
    ...(token && { token }),
  }
}

export interface FetchEncoderOptions extends HubOptions {
  /** the cache; the model is stored in it under its name and revision */
  readonly folder: string
  /** the graph's path in the repository; by default the usual places are tried */
  readonly file?: string | undefined
  readonly onProgress?: OnProgress
}

export interface FetchedEncoder {
  /** the argument of `--encoder hf:<dir>` */
  readonly folder: string
  readonly graph: string
  readonly files: readonly FetchedFile[]
}

/** The files of a sentence encoder besides its graph; all but the tokenizer may be absent. */
const CONFIGURATION = [
  'tokenizer.json',
  'tokenizer_config.json',
  'config.json',
  'modules.json',
  'sentence_bert_config.json',
  'config_sentence_transformers.json',
]

/**
 * Downloads only a sentence encoder's ONNX graph, tokenizer and configuration.
 *
 * @param name `owner/name` or `owner/name@revision`
 * @throws option_invalid, hub_denied, hub_not_found, hub_failed, download_corrupt
 */
export async function fetchEncoder(
  name: string,
  options: FetchEncoderOptions,
): Promise<FetchedEncoder> {
  const reference = modelReference(name)
  const present = new Set((await listFiles(reference, options)).map(({ path }) => path))
  const graph = (options.file ? [options.file] : MODEL_PLACES).find((path) => present.has(path))
  if (graph === undefined || !present.has('tokenizer.json')) {
    const what = graph === undefined ? `ONNX graph (${options.file ?? '.onnx'})` : 'tokenizer.json'
    throw new WeirError('hub_not_found', { url: reference.repo, what })
  }
  const wanted = [
    graph,
    ...CONFIGURATION.filter((path) => present.has(path)),
    ...[...present].filter((path) => /^\d+_Pooling\/config\.json$/.test(path)),
  ]
  const files: FetchedFile[] = []
  for (const path of wanted) {
    files.push(...(await fetchFromHub({ ...reference, path }, options)))
  }
  const tokenizer = files[wanted.indexOf('tokenizer.json')]!
  return { folder: dirname(tokenizer.path), graph: join(dirname(tokenizer.path), graph), files }
}

function modelReference(name: string): HubReference {
  const reference = parseReference(name.startsWith('hf://') ? name : `hf://models/${name}`)
  if (reference.type === 'models' && reference.path === undefined) return reference
  throw new WeirError('option_invalid', {
    option: 'the encoder to fetch',
    expected: 'owner/name[@revision], such as sentence-transformers/all-MiniLM-L6-v2',
    got: name,
  })
}
