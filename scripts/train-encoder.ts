import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { withEmbeddingCache } from '../data/embedding-cache.ts'
import type { EncoderArtifact } from '../models/encoder.ts'
import { makeNamedEncoder } from '../models/encoders/named.ts'
import { cacheFolder } from './cache-folder.ts'
import type { Terminal } from './terminal.ts'

const LEXICAL_AND = 'lexical+'

/** The encoder of `--encoder`; none for `lexical`, which training fits itself, alone or beside another. */
export async function trainEncoder(
  flag: string,
  terminal: Terminal,
): Promise<{ readonly encoder?: EncoderArtifact; readonly besideLexical?: boolean }> {
  if (flag === 'lexical') return {}
  const besideLexical = flag.startsWith(LEXICAL_AND)
  const name = besideLexical ? flag.slice(LEXICAL_AND.length) : flag
  if (name === 'lexical') return {}
  const cache = cacheFolder(process.env)
  const { encoder, files } = await makeNamedEncoder(name, {
    cacheFolder: cache,
    workers: availableParallelism(),
    onProgress: terminal.onProgress,
  })
  // the table is as quick as reading what it gave before
  if (encoder.spec.kind === 'use-lite-static') return { encoder: { encoder, files }, besideLexical }
  const kept = withEmbeddingCache(encoder, join(cache, 'embeddings'), terminal.onProgress)
  return { encoder: { encoder: kept, files }, besideLexical }
}
