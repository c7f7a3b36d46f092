import { EncoderPool } from '../serving/policy/encoder-pool.ts'
import type { PolicyFile } from '../serving/policy/file.ts'
import { openTextReaders, type TextReaders } from '../serving/policy/text-readers.ts'
import { cacheFolder } from './cache-folder.ts'

/** Does the work with what the policy reads texts with, its encoder open meanwhile. */
export async function withTextReaders<T>(
  file: PolicyFile,
  work: (readers: TextReaders['needs']) => Promise<T>,
): Promise<T> {
  const encoders = new EncoderPool(async (name) => {
    const { makeNamedEncoder } = await import('../models/encoders/named.ts')
    return (await makeNamedEncoder(name, { cacheFolder: cacheFolder(process.env) })).encoder
  })
  const { needs, close } = await openTextReaders(file, encoders)
  try {
    return await work(needs)
  } finally {
    await close()
  }
}
