import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { OnProgress } from '../core/progress.ts'
import { withEmbeddingCache } from '../data/embedding-cache.ts'
import { cacheFolder as defaultCacheFolder } from '../models/encoders/cache.ts'
import type { Encoder } from '../models/encoders/encoder.ts'
import { makeNamedEncoder } from '../models/encoders/registry.ts'
import type { FitRouterOptions } from './fit-router.ts'

const LEXICAL_AND = 'lexical+'

export interface TrainEncoderOptions {
  /** where converted encoders and embeddings are kept between runs; `$WEIR_CACHE`, else the user's cache folder */
  readonly cacheFolder?: string | undefined
  readonly onProgress?: OnProgress | undefined
}

/** An encoder for training; none where training fits `lexical`. */
export interface TrainEncoder extends Pick<FitRouterOptions, 'encoder' | 'besideLexical'> {
  /** the encoder without the embeddings that are kept between runs, to be timed */
  readonly uncached?: Encoder | undefined
}

/**
 * Opens the encoder for training by its name. Training fits `lexical` itself, alone or beside the encoder
 * named after `lexical+`. The caller closes the encoder.
 *
 * @throws encoder_unknown, option_invalid, and the errors of creating the encoder
 */
export async function openTrainEncoder(
  name: string,
  options: TrainEncoderOptions = {},
): Promise<TrainEncoder> {
  const besideLexical = name.startsWith(LEXICAL_AND)
  const beside = besideLexical ? name.slice(LEXICAL_AND.length) : name
  if (beside === 'lexical') return {}
  const { cacheFolder = defaultCacheFolder(process.env), onProgress } = options
  const made = await makeNamedEncoder(beside, {
    cacheFolder,
    workers: availableParallelism(),
    ...(onProgress && { onProgress }),
  })
  const { encoder, files } = made
  // computing it again is as fast as reading a cached embedding
  if (encoder.spec.kind === 'use-lite-static') return { encoder: made, besideLexical }
  const kept = withEmbeddingCache(encoder, join(cacheFolder, 'embeddings'), onProgress)
  return { encoder: { encoder: kept, files }, besideLexical, uncached: encoder }
}

/** An encoder that is opened when it is needed. */
export interface NamedEncoder {
  readonly name: string
  open(): Promise<TrainEncoder>
}

/** What `--router auto` compares beside `lexical` where no encoder is named: words and meaning, if it is installed. */
const OTHERS = ['lexical+use-lite']

/** Encoders that are opened on demand; `close` closes those that were. */
export function otherEncoders(options: TrainEncoderOptions = {}): {
  readonly encoders: readonly NamedEncoder[]
  close(): Promise<void>
} {
  const opened: TrainEncoder[] = []
  return {
    encoders: OTHERS.map((name) => ({
      name,
      async open() {
        const encoder = await openTrainEncoder(name, options)
        opened.push(encoder)
        return encoder
      },
    })),
    async close() {
      for (const { encoder } of opened) await encoder?.encoder.close?.()
    },
  }
}
