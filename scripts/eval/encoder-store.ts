import { createHash } from 'node:crypto'
import { mkdir, open, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { OnProgress } from '../../core/progress.ts'
import { cacheFolder } from '../../models/encoders/cache.ts'
import { type DenseEmbeddings, takeDense } from '../../models/encoders/embeddings.ts'
import type { Encoder, EncoderArtifact } from '../../models/encoders/encoder.ts'
import { makeNamedEncoder } from '../../models/encoders/registry.ts'

const CHUNK = 256

/**
 * The prompts' embeddings, encoded once and stored in a file of float32 rows: its length shows how many are
 * done, so that a stopped run can continue.
 */
export async function storedEmbeddings(
  encoder: Encoder,
  prompts: readonly string[],
  folder: string,
  onProgress: OnProgress,
): Promise<DenseEmbeddings> {
  const { id, dimension } = encoder.spec
  const hash = createHash('sha256').update(prompts.join('\u0000')).digest('hex').slice(0, 12)
  const path = join(folder, `${id}-${hash}.f32`)
  await mkdir(dirname(path), { recursive: true })
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  )
  const file = await open(path, 'a')
  try {
    // two runs that wrote at once leave too many rows, in mixed order: start again
    const kept = Math.floor(size / (4 * dimension))
    let done = kept > prompts.length ? 0 : kept
    await file.truncate(done * 4 * dimension)
    while (done < prompts.length) {
      onProgress({ stage: `encoding with ${id}`, done, total: prompts.length })
      const { embeddings } = await encoder.encode(prompts.slice(done, done + CHUNK))
      if (embeddings.kind === 'sparse') throw new TypeError('expected dense rows')
      await file.appendFile(new Uint8Array(embeddings.values.buffer))
      done += embeddings.rows
    }
  } finally {
    await file.close()
  }
  const bytes = await readFile(path)
  const values = new Float32Array(
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
  )
  return { kind: 'dense', rows: prompts.length, dimension, values }
}

/** A named encoder that has already encoded these prompts, once for all folds and seeds. */
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
