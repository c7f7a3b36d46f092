import type { PolicyFile } from '../serving/policy/file.ts'
import { buildSemanticIndex, type SemanticIndex } from '../serving/policy/semantic.ts'
import { cacheFolder } from './cache-folder.ts'

/** Does the work with the index of a policy's semantic routes, its encoder open meanwhile; with none where it has none. */
export async function withSemanticIndex<T>(
  { semantic }: PolicyFile,
  work: (index: SemanticIndex | undefined) => Promise<T>,
): Promise<T> {
  if (!semantic) return work(undefined)
  const { makeNamedEncoder } = await import('../models/encoders/named.ts')
  const { isRemote } = await import('../models/encoder.ts')
  const made = await makeNamedEncoder(semantic.encoder, { cacheFolder: cacheFolder(process.env) })
  const { encoder } = made
  try {
    const index = await buildSemanticIndex(
      semantic.routes,
      semantic.none_of_these ?? [],
      async (texts, signal) => (await encoder.encode(texts, signal)).embeddings,
      { remote: isRemote(encoder.spec) },
    )
    return await work(index)
  } finally {
    await encoder.close?.()
  }
}
