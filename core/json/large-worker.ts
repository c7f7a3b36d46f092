import { parentPort } from 'node:worker_threads'
import { WeirError } from '../errors.ts'
import { type OutlineReply, type OutlineRequest, outlineOf } from './large.ts'

parentPort!.on('message', ({ id, bytes }: OutlineRequest) => {
  const { buffer, byteOffset, length } = bytes
  const send = (reply: OutlineReply, moved: ArrayBuffer[] = []): void =>
    parentPort!.postMessage(reply, moved)
  try {
    const outline = outlineOf(Buffer.from(buffer as ArrayBuffer, byteOffset, length))
    const { decoded } = outline
    const moved = [buffer as ArrayBuffer]
    // short ones are parts of a pool
    const own = decoded.length === decoded.buffer.byteLength && decoded.length > 0
    if (own) moved.push(decoded.buffer as ArrayBuffer)
    send({ id, bytes, outline }, moved)
  } catch (error) {
    const { message } = error as Error
    send({ id, code: error instanceof WeirError ? error.code : undefined, message })
  }
})
