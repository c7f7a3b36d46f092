import { WeirError } from '../models/errors.ts'

/**
 * The one door to fzstd (Node 20 has no zstd of its own). Decompresses as it comes; throws
 * `file_truncated` where the file ends inside a frame.
 */
export async function* unzstd(path: string, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const { Decompress, ZstdErrorCode } = await import('fzstd')
  let out: Buffer[] = []
  const stream = new Decompress((data) => {
    // The library hands out views of a window that it writes on.
    if (data.length > 0) out.push(Buffer.from(data))
  })
  const push = (chunk: Uint8Array, final: boolean): void => {
    try {
      stream.push(chunk, final)
    } catch (cause) {
      const { code, message } = cause as { code?: number; message: string }
      throw code === ZstdErrorCode.UnexpectedEOF || final
        ? new WeirError('file_truncated', { path, reason: message }, { cause })
        : new WeirError('file_unreadable', { path, reason: `zstd: ${message}` }, { cause })
    }
  }
  for await (const chunk of chunks) {
    push(chunk, false)
    yield* out.splice(0)
  }
  push(new Uint8Array(0), true)
  yield* out
  out = []
}
