import { WeirError } from '../../core/errors.ts'
import type { Encoder, EncoderSpec } from './encoder.ts'
import type { EncodeWorkerOptions } from './worker/pool.ts'

/** Where and how an encoder runs; fast ones run on the calling thread and take no notice. */
export interface LoadEncoderOptions extends EncodeWorkerOptions {
  /** holds an endpoint's key; `process.env` by default */
  readonly environment?: Readonly<Record<string, string | undefined>>
}

type EncoderLoader = (
  spec: EncoderSpec,
  folder: string,
  options: LoadEncoderOptions,
) => Promise<Encoder>

/** Encoders that take over about a millisecond a prompt run in worker threads. */
const inWorkers: EncoderLoader = async (spec, folder, options) => {
  const { startEncodeWorkers } = await import('./worker/pool.ts')
  const { readEncoderFiles } = await import('./cache.ts')
  return startEncodeWorkers(spec, await readEncoderFiles(spec, folder), options)
}

/** Every encoder this build can load, by kind; each file is opened when its kind is first asked for. */
export const ENCODERS: Readonly<Record<string, EncoderLoader>> = {
  lexical: async (spec, folder) =>
    (await import('./lexical/encoder.ts')).loadLexicalEncoder(spec, folder),
  'use-lite': inWorkers,
  'use-lite-static': async (spec, folder) =>
    (await import('./use-lite/static.ts')).loadUseLiteStatic(spec, folder),
  hf: inWorkers,
  joined: async (spec, folder, options) => {
    const { loadJoined } = await import('./joined.ts')
    return loadJoined(spec, (part) => loadEncoder(part, folder, options))
  },
  openai: async (spec, _folder, { environment = process.env }) => {
    const { openOpenAi } = await import('./openai/encoder.ts')
    return openOpenAi(spec, { apiKey: environment[String(spec.options.key_env)] })
  },
}

/**
 * @param folder the bundle's folder, under which the spec's files lie
 * @throws encoder_unknown, encoder_unavailable, file_unreadable
 */
export async function loadEncoder(
  spec: EncoderSpec,
  folder: string,
  options: LoadEncoderOptions = {},
): Promise<Encoder> {
  const load = Object.hasOwn(ENCODERS, spec.kind) ? ENCODERS[spec.kind] : undefined
  if (!load) {
    throw new WeirError('encoder_unknown', { kind: spec.kind, known: Object.keys(ENCODERS) })
  }
  return load(spec, folder, options)
}
