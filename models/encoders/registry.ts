import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import type { OnProgress } from '../../core/progress.ts'
import type { Encoder, EncoderArtifact, EncoderSpec } from './encoder.ts'
import { type NameSettings, parseEncoderName } from './encoder-name.ts'
import type { EncoderAccess } from './openai/access.ts'
import type { EncodeWorkerOptions } from './worker/pool.ts'

/** Where and how an encoder runs; fast encoders run on the calling thread and ignore it. */
export interface LoadEncoderOptions extends EncodeWorkerOptions {
  /** where encoders of bundles may send prompts; nowhere by default */
  readonly access?: EncoderAccess | undefined
  /** holds an endpoint's key; `process.env` by default */
  readonly environment?: Readonly<Record<string, string | undefined>>
}

export interface MakeEncoderOptions extends LoadEncoderOptions {
  /** where a converted encoder is cached between runs */
  readonly cacheFolder?: string
  readonly onProgress?: OnProgress | undefined
  /** runs a slow encoder on the calling thread, for measuring it */
  readonly inline?: boolean
}

/** How an encoder is made from its name, `kind:rest?settings`, before any router uses it. */
export interface NamedKind {
  /** the accepted names, as help and errors show them: `hf:<dir>` */
  readonly names: readonly string[]
  /** @throws option_invalid for an unknown name or setting */
  make(rest: string, settings: NameSettings, options: MakeEncoderOptions): Promise<EncoderArtifact>
}

/** One kind of encoder: how bundles open it and, unless it is fitted in training, how it is made by name. */
export interface EncoderKind {
  /**
   * Opens the encoder of a bundle.
   *
   * @param folder the bundle's folder, which contains the spec's files
   */
  load(spec: EncoderSpec, folder: string, options: LoadEncoderOptions): Promise<Encoder>
  readonly named?: NamedKind
  /**
   * opens it on the calling thread; for kinds that take over about a millisecond per prompt and so run in
   * workers
   */
  openInline?(
    spec: EncoderSpec,
    files: ReadonlyMap<string, Uint8Array>,
    threads: number,
  ): Promise<Encoder>
}

const loadInWorkers: EncoderKind['load'] = async (spec, folder, options) => {
  const { startEncodeWorkers } = await import('./worker/pool.ts')
  const { readEncoderFiles } = await import('./cache.ts')
  return startEncodeWorkers(spec, await readEncoderFiles(spec, folder), options)
}

/** Moves a made encoder into worker threads; its files are unchanged. */
async function moveToWorkers(
  made: EncoderArtifact,
  options: MakeEncoderOptions,
): Promise<EncoderArtifact> {
  if (options.inline) return made
  const { encoder, files } = made
  const { startEncodeWorkers } = await import('./worker/pool.ts')
  await encoder.close?.()
  return { encoder: await startEncodeWorkers(encoder.spec, files, options), files }
}

/**
 * Every kind of encoder. To add one, add a file, a row here and a case in its contract; each file is imported
 * on first use.
 */
const ENCODERS = new Map<string, EncoderKind>([
  [
    'lexical',
    {
      load: async (spec, folder) =>
        (await import('./lexical/encoder.ts')).loadLexicalEncoder(spec, folder),
    },
  ],
  [
    'use-lite',
    {
      load: loadInWorkers,
      openInline: async (spec, files, threads) =>
        (await import('./use-lite/encoder.ts')).openUseLite(spec, files, threads),
      named: {
        names: ['use-lite', 'use-lite:fp32'],
        async make(rest, settings, options) {
          settings.allow([])
          const precision = rest || 'q8'
          if (precision !== 'fp32' && precision !== 'q8') {
            const expected = 'use-lite, use-lite:q8 or use-lite:fp32'
            throw new WeirError('option_invalid', {
              option: '--encoder use-lite',
              expected,
              got: settings.name,
            })
          }
          const { makeUseLite } = await import('./use-lite/encoder.ts')
          const { cacheFolder, threads } = options
          const made = await makeUseLite({ precision, ...definedOnly({ cacheFolder, threads }) })
          return moveToWorkers(made, options)
        },
      },
    },
  ],
  [
    'use-lite-static',
    {
      load: async (spec, folder) =>
        (await import('./use-lite/static.ts')).loadUseLiteStatic(spec, folder),
      named: {
        names: ['use-lite-static'],
        async make(_, settings, { cacheFolder, onProgress }) {
          settings.allow([])
          const { makeUseLiteStatic } = await import('./use-lite/static.ts')
          return makeUseLiteStatic(definedOnly({ cacheFolder, onProgress }))
        },
      },
    },
  ],
  [
    'hf',
    {
      load: loadInWorkers,
      openInline: async (spec, files, threads) =>
        (await import('./hf/encoder.ts')).openHf(spec, files, threads),
      named: {
        names: ['hf:<dir>'],
        async make(rest, settings, options) {
          settings.require(rest, 'hf:<dir>')
          settings.allow(['file', 'prefix'])
          const { makeHf } = await import('./hf/encoder.ts')
          const { threads } = options
          const made = await makeHf(rest, {
            ...settings.strings(['file', 'prefix']),
            ...definedOnly({ threads }),
          })
          return moveToWorkers(made, options)
        },
      },
    },
  ],
  [
    'joined',
    {
      async load(spec, folder, options) {
        const { loadJoined } = await import('./joined.ts')
        return loadJoined(spec, (part) => loadEncoder(part, folder, options))
      },
    },
  ],
  [
    'context',
    {
      async load(spec, folder, options) {
        const { loadContextEncoder } = await import('./context.ts')
        return loadContextEncoder(spec, folder, (inner) => loadEncoder(inner, folder, options))
      },
    },
  ],
  [
    'familiar',
    {
      async load(spec, folder, options) {
        const { loadFamiliarEncoder } = await import('./familiar.ts')
        return loadFamiliarEncoder(spec, folder, (inner) => loadEncoder(inner, folder, options))
      },
    },
  ],
  [
    'openai',
    {
      async load(spec, _folder, { access = {}, environment = process.env }) {
        const { openOpenAi } = await import('./openai/encoder.ts')
        return openOpenAi(spec, access, environment)
      },
      named: {
        names: ['openai:<model>'],
        async make(model, settings, { environment = process.env }) {
          settings.require(model, 'openai:<model>')
          settings.allow([...ENDPOINT_NUMBERS, ...ENDPOINT_STRINGS])
          const { makeOpenAi } = await import('./openai/encoder.ts')
          const { DEFAULT_SETTINGS } = await import('./openai/settings.ts')
          const base_url = environment.OPENAI_BASE_URL || undefined
          const whole = {
            ...definedOnly({ base_url }),
            ...settings.strings(ENDPOINT_STRINGS),
            ...settings.numbers(ENDPOINT_NUMBERS),
            model,
          }
          const apiKey = environment[whole.key_env ?? DEFAULT_SETTINGS.key_env]
          return makeOpenAi(whole, { apiKey })
        },
      },
    },
  ],
])

const ENDPOINT_NUMBERS = ['dimensions', 'max_tokens', 'batch', 'concurrency', 'timeout_ms'] as const
const ENDPOINT_STRINGS = ['base_url', 'key_env', 'connection'] as const

/**
 * Adds a kind of encoder. Call it before a bundle of that kind is loaded or made. Worker threads do not see
 * it, so a kind added this way runs on the calling thread or starts its own threads.
 *
 * @param kind the `kind` of its spec, and the part before `:` of its name
 * @throws option_invalid if the kind is taken
 */
export function registerEncoder(kind: string, encoder: EncoderKind): void {
  if (ENCODERS.has(kind)) {
    throw new WeirError('option_invalid', { option: 'kind', expected: 'a new kind', got: kind })
  }
  ENCODERS.set(kind, encoder)
}

/** The registered kinds, in order of registration. */
export const encoderKinds = (): string[] => [...ENCODERS.keys()]

/**
 * Opens the encoder that a bundle's manifest describes.
 *
 * @param folder the bundle's folder, which contains the spec's files
 * @throws encoder_unknown, encoder_unavailable, encoder_not_allowed, file_unreadable
 */
export async function loadEncoder(
  spec: EncoderSpec,
  folder: string,
  options: LoadEncoderOptions = {},
): Promise<Encoder> {
  const row = ENCODERS.get(spec.kind)
  if (!row) throw new WeirError('encoder_unknown', { kind: spec.kind, known: encoderKinds() })
  return row.load(spec, folder, options)
}

/** Opens a worker encoder on the calling thread; used by the workers themselves and by benchmarks. */
export async function openInline(
  spec: EncoderSpec,
  files: ReadonlyMap<string, Uint8Array>,
  threads = 1,
): Promise<Encoder> {
  const open = ENCODERS.get(spec.kind)?.openInline
  if (!open) {
    const known = encoderKinds().filter((kind) => ENCODERS.get(kind)?.openInline)
    throw new WeirError('encoder_unknown', { kind: spec.kind, known })
  }
  return open(spec, files, threads)
}

/**
 * Makes the encoder with a given name. Settings follow a `?`, as in a URL:
 * `use-lite`, `use-lite:fp32`, `hf:models/e5-small?prefix=query:%20&file=onnx/model_quantized.onnx`,
 * `openai:text-embedding-3-small?dimensions=256&base_url=http://localhost:8080/v1`.
 *
 * @throws encoder_unknown, option_invalid, and any error from making it
 */
export async function makeNamedEncoder(
  name: string,
  options: MakeEncoderOptions = {},
): Promise<EncoderArtifact> {
  const { kind, rest, settings } = parseEncoderName(name)
  const named = ENCODERS.get(kind)?.named
  if (!named) {
    const known = ['lexical', ...[...ENCODERS.values()].flatMap((row) => row.named?.names ?? [])]
    throw new WeirError('encoder_unknown', { kind: name, known })
  }
  return named.make(rest, settings, options)
}
