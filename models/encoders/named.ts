import { WeirError } from '../../core/errors.ts'
import type { OnProgress } from '../../core/progress.ts'
import type { EncoderArtifact } from './encoder.ts'
import type { LoadEncoderOptions } from './registry.ts'

/** Encoders that are made, not fitted, as `--encoder` takes them; `lexical` is fitted in training. */
export const NAMED_ENCODERS = [
  'use-lite',
  'use-lite:fp32',
  'use-lite-static',
  'hf:<dir>',
  'openai:<model>',
] as const

export interface NamedEncoderOptions extends LoadEncoderOptions {
  /** where a converted encoder is kept between runs */
  readonly cacheFolder?: string
  readonly onProgress?: OnProgress
  /** runs a slow encoder on the calling thread, for measuring it */
  readonly inline?: boolean
}

/**
 * Makes the encoder of a name. Settings follow a `?`, as in a URL:
 * `use-lite`, `use-lite:fp32`, `hf:models/e5-small?prefix=query:%20&file=onnx/model_quantized.onnx`,
 * `openai:text-embedding-3-small?dimensions=256&base_url=http://localhost:8080/v1`.
 *
 * @throws encoder_unknown, option_invalid, and whatever making it throws
 */
export async function makeNamedEncoder(
  name: string,
  options: NamedEncoderOptions = {},
): Promise<EncoderArtifact> {
  const { kind, rest, settings } = parseEncoderName(name)
  switch (kind) {
    case 'use-lite': {
      settings.allow(name, [])
      if (rest !== '' && rest !== 'fp32' && rest !== 'q8') {
        throw new WeirError('option_invalid', {
          option: '--encoder use-lite',
          expected: 'use-lite, use-lite:q8 or use-lite:fp32',
          got: name,
        })
      }
      const { makeUseLite } = await import('./use-lite/encoder.ts')
      const { cacheFolder, threads } = options
      const made = await makeUseLite({
        precision: rest || 'q8',
        ...(cacheFolder ? { cacheFolder } : {}),
        ...(threads ? { threads } : {}),
      })
      return options.inline ? made : inWorkers(made, options)
    }
    case 'use-lite-static': {
      settings.allow(name, [])
      const { makeUseLiteStatic } = await import('./use-lite/static.ts')
      const { cacheFolder, onProgress } = options
      return makeUseLiteStatic({
        ...(cacheFolder ? { cacheFolder } : {}),
        ...(onProgress ? { onProgress } : {}),
      })
    }
    case 'hf': {
      settings.allow(name, ['file', 'prefix'])
      const { makeHf } = await import('./hf/encoder.ts')
      const { threads } = options
      const made = await makeHf(rest, {
        ...settings.strings(['file', 'prefix']),
        ...(threads ? { threads } : {}),
      })
      return options.inline ? made : inWorkers(made, options)
    }
    case 'openai':
      return makeEndpoint(rest, settings, options)
    default:
      throw new WeirError('encoder_unknown', { kind: name, known: ['lexical', ...NAMED_ENCODERS] })
  }
}

const ENDPOINT_NUMBERS = ['dimensions', 'max_tokens', 'batch', 'concurrency', 'timeout_ms'] as const
const ENDPOINT_STRINGS = ['base_url', 'key_env'] as const

async function makeEndpoint(
  model: string,
  settings: NameSettings,
  { environment = process.env }: NamedEncoderOptions,
): Promise<EncoderArtifact> {
  settings.allow(`openai:${model}`, [...ENDPOINT_NUMBERS, ...ENDPOINT_STRINGS])
  const { makeOpenAi } = await import('./openai/encoder.ts')
  const { DEFAULT_SETTINGS } = await import('./openai/settings.ts')
  const base = environment.OPENAI_BASE_URL
  const whole = {
    ...(base ? { base_url: base } : {}),
    ...settings.strings(ENDPOINT_STRINGS),
    ...settings.numbers(ENDPOINT_NUMBERS),
    model,
  }
  const apiKey = environment[whole.key_env ?? DEFAULT_SETTINGS.key_env]
  return makeOpenAi(whole, { apiKey })
}

/** Moves a made encoder into worker threads; its files stay as they are. */
async function inWorkers(
  { encoder, files }: EncoderArtifact,
  options: NamedEncoderOptions,
): Promise<EncoderArtifact> {
  const { startEncodeWorkers } = await import('./worker/pool.ts')
  await encoder.close?.()
  return { encoder: await startEncodeWorkers(encoder.spec, files, options), files }
}

class NameSettings {
  private readonly values: URLSearchParams

  constructor(query: string) {
    this.values = new URLSearchParams(query)
  }

  allow(name: string, known: readonly string[]): void {
    for (const key of this.values.keys()) {
      if (known.includes(key)) continue
      throw new WeirError('option_invalid', {
        option: `--encoder ${name}`,
        expected: known.length > 0 ? `settings among ${known.join(', ')}` : 'no settings',
        got: key,
      })
    }
  }

  strings<K extends string>(keys: readonly K[]): { [key in K]?: string } {
    return Object.fromEntries(
      keys.flatMap((key) => {
        const value = this.values.get(key)
        return value === null ? [] : [[key, value]]
      }),
    ) as { [key in K]?: string }
  }

  /** What isn't a number stays as it is, for the schema to refuse by name. */
  numbers<K extends string>(keys: readonly K[]): { [key in K]?: number } {
    return Object.fromEntries(
      Object.entries(this.strings(keys)).map(([key, value]) => [key, Number(value)]),
    ) as { [key in K]?: number }
  }
}

function parseEncoderName(name: string): { kind: string; rest: string; settings: NameSettings } {
  const [, kind = '', rest = '', query = ''] = /^([^:?]*):?([^?]*)\??(.*)$/s.exec(name) ?? []
  if ((kind === 'hf' || kind === 'openai') && rest === '') {
    throw new WeirError('option_invalid', {
      option: '--encoder',
      expected: kind === 'hf' ? 'hf:<dir>' : 'openai:<model>',
      got: name,
    })
  }
  return { kind, rest, settings: new NameSettings(query) }
}
