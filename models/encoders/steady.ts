import { concatenate } from '../embeddings.ts'
import type { Encoded, Encoder } from '../encoder.ts'
import type { OnProgress } from '../progress.ts'
import { throwIfAborted } from './abort.ts'

/**
 * The same encoder, given long lists a chunk at a time: it says how far it is, and a worker pool never has
 * more than a chunk waiting.
 */
export function steadyEncoder(encoder: Encoder, onProgress: OnProgress, chunk = 256): Encoder {
  return {
    ...encoder,
    async encode(prompts, signal): Promise<Encoded> {
      if (prompts.length <= chunk) return encoder.encode(prompts, signal)
      const parts: Encoded[] = []
      const total = prompts.length
      for (let done = 0; done < total; done += chunk) {
        throwIfAborted(signal)
        onProgress({ stage: `encoding with ${encoder.spec.kind}`, done, total })
        parts.push(await encoder.encode(prompts.slice(done, done + chunk), signal))
      }
      const truncated = new Uint8Array(total)
      for (const [i, part] of parts.entries()) truncated.set(part.truncated, i * chunk)
      return { embeddings: concatenate(parts.map((part) => part.embeddings)), truncated }
    },
  }
}
