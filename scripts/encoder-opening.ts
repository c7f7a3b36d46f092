import { existsSync } from 'node:fs'
import { availableParallelism, homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { OnProgress } from '../core/progress.ts'
import { withEmbeddingCache } from '../data/embedding-cache.ts'
import { readLogs } from '../data/ingest.ts'
import type { Encoder, EncoderArtifact } from '../models/encoders/encoder.ts'
import { makeNamedEncoder } from '../models/encoders/named.ts'
import { fitLexical, PROJECTION_DEFAULTS } from '../training/lexical/fit.ts'
import type { Terminal } from './terminal/terminal.ts'

interface OpeningOptions {
  readonly threads: number
  readonly onProgress?: OnProgress
}

/**
 * An encoder on the calling thread, for measuring it. `lexical` and `lexical-dense` are fitted on the
 * sample log that comes with the project.
 */
export async function openForTiming(
  name: string,
  { threads, onProgress }: OpeningOptions,
): Promise<{ encoder: Encoder; bytes: number }> {
  const artifact =
    name === 'lexical' || name === 'lexical-dense'
      ? await fitOnSample(name === 'lexical-dense')
      : await makeNamedEncoder(name, {
          inline: true,
          threads,
          cacheFolder: cacheFolder(process.env),
          ...(onProgress ? { onProgress } : {}),
        })
  let bytes = 0
  for (const file of artifact.files.values()) bytes += file.length
  return { encoder: artifact.encoder, bytes }
}

async function fitOnSample(dense: boolean): Promise<EncoderArtifact> {
  const { prompts } = await readLogs([samplePath()], { seed: 1 })
  return fitLexical({
    prompts,
    ...(dense ? { projection: { ...PROJECTION_DEFAULTS, seed: 1 } } : {}),
  })
}

/** From source, and from the build one folder deeper. */
function samplePath(): string {
  const paths = ['../data/sample/outcomes.jsonl.gz', '../../data/sample/outcomes.jsonl.gz'].map(
    (path) => fileURLToPath(new URL(path, import.meta.url)),
  )
  return paths.find((path) => existsSync(path)) ?? paths[0]!
}

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

/** Where what is made once is kept between runs: WEIR_CACHE, else the user's cache folder. */
export function cacheFolder(environment: Readonly<Record<string, string | undefined>>): string {
  if (environment.WEIR_CACHE) return environment.WEIR_CACHE
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'weir')
}
