import { parentPort, workerData } from 'node:worker_threads'
import type { Encoder } from './encoder.ts'
import { openInline } from './registry.ts'
import type { EncodeBatch, EncodeReply, EncodeWorkerData } from './worker/messages.ts'

/** A worker thread that runs one encoder, so that encoding never blocks the thread that answers requests. */
const { spec, files, threads } = workerData as EncodeWorkerData
const port = parentPort!

const reply = (message: EncodeReply, transfer: readonly ArrayBuffer[] = []): void =>
  port.postMessage(message, transfer)

try {
  const encoder = await openInline(spec, files, threads)
  port.on('message', (batch: EncodeBatch) => void answer(encoder, batch))
  reply({ kind: 'ready' })
} catch (error) {
  reply({ kind: 'broken', reason: (error as Error).message })
}

async function answer(encoder: Encoder, { id, prompts }: EncodeBatch): Promise<void> {
  try {
    const { embeddings, truncated } = await encoder.encode(prompts)
    if (embeddings.kind === 'sparse') throw new TypeError('expected dense rows')
    const { values } = embeddings
    reply({ kind: 'done', id, values, truncated }, [values.buffer as ArrayBuffer])
  } catch (error) {
    reply({ kind: 'failed', id, reason: (error as Error).message })
  }
}
