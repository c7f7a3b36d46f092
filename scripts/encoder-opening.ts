import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { OnProgress } from '../core/progress.ts'
import { readLogs } from '../data/ingest.ts'
import { cacheFolder } from '../models/encoders/cache.ts'
import type { Encoder, EncoderArtifact } from '../models/encoders/encoder.ts'
import { makeNamedEncoder } from '../models/encoders/registry.ts'
import { fitLexical, PROJECTION_DEFAULTS } from '../training/lexical/fit.ts'

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
