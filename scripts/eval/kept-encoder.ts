import { join } from 'node:path'
import { takeDense } from '../../models/embeddings.ts'
import type { EncoderArtifact } from '../../models/encoder.ts'
import { makeNamedEncoder } from '../../models/encoders/named.ts'
import type { OnProgress } from '../../models/progress.ts'
import { cacheFolder } from '../cache-folder.ts'
import { storedEmbeddings } from './encoder-store.ts'

/** A named encoder that has encoded these prompts already, once for all folds and seeds. */
export async function keptEncoder(
  name: string,
  prompts: readonly string[],
  onProgress: OnProgress,
): Promise<EncoderArtifact> {
  const cache = cacheFolder(process.env)
  const { encoder, files } = await makeNamedEncoder(name, {
    cacheFolder: cache,
    onProgress,
    workers: 2,
  })
  const kept = await storedEmbeddings(encoder, prompts, join(cache, 'eval'), onProgress)
  await encoder.close?.()
  const place = new Map(prompts.map((prompt, row) => [prompt, row]))
  return {
    files,
    encoder: {
      spec: encoder.spec,
      encode: async (asked) => ({
        embeddings: takeDense(
          kept,
          asked.map((prompt) => place.get(prompt)!),
        ),
        truncated: new Uint8Array(asked.length),
      }),
    },
  }
}
