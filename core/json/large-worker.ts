import { answerQuestions } from '../asked-thread.ts'
import { outlineOf } from './large.ts'

// the bytes come back, as they were moved to the thread
answerQuestions(({ buffer, byteOffset, length }: Uint8Array) => {
  const bytes = Buffer.from(buffer as ArrayBuffer, byteOffset, length)
  const outline = outlineOf(bytes)
  const { decoded } = outline
  const moved = [buffer as ArrayBuffer]
  // short ones are parts of a pool
  const own = decoded.length === decoded.buffer.byteLength && decoded.length > 0
  if (own) moved.push(decoded.buffer as ArrayBuffer)
  return { value: { bytes, outline }, moved }
})
