import { availableParallelism } from 'node:os'
import type { Worker } from 'node:worker_threads'
import { startWorker } from '../../core/worker-entry.ts'
import type { PlacerSpec } from '../rows/placer.ts'
import type { Reject } from '../rows/reader.ts'
import type { RowBlock } from '../rows/row-block.ts'
import { packRows } from '../rows/row-packer.ts'
import type { LineBlock, PackedBlock } from './line-block.ts'
import { LINE_BYTES_MAX, NEWLINE, overlongLine } from './lines.ts'
import type { Buffers, Source } from './source.ts'

/** More threads than this wait for the thread that merges their results. */
const THREADS_MAX = 4
const BLOCK_BYTES = 1 << 20

/**
 * Reads JSON lines on several threads. This thread cuts the bytes at newlines, hands out whole blocks, and
 * yields the results in file order, so that the result does not depend on the threads.
 */
export async function* readLinesInThreads(
  source: Source,
  spec: PlacerSpec,
  seed: number,
): AsyncGenerator<RowBlock> {
  const free: ArrayBuffer[] = []
  const buffers: Buffers = {
    take: () => Buffer.from(free.pop() ?? new ArrayBuffer(BLOCK_BYTES)),
  }
  const pool = Array.from(
    { length: Math.min(THREADS_MAX, availableParallelism()) },
    () => new LineThread(spec, seed),
  )
  const queue: { readonly packed: Promise<PackedBlock>; readonly thread?: LineThread }[] = []
  let lines = 0
  async function* next(): AsyncGenerator<RowBlock> {
    const { packed: waiting, thread } = queue.shift()!
    const packed = await waiting
    const block = shiftRejects(packed.block, lines)
    lines += packed.lines
    if (packed.spent?.byteLength === BLOCK_BYTES) free.push(packed.spent)
    yield block
    thread?.takeBack(block.text.buffer as ArrayBuffer)
  }
  let sent = 0
  try {
    for await (const part of cutAtLines(source.chunks(buffers), spec.path, seed)) {
      if ('packed' in part) queue.push({ packed: Promise.resolve(part.packed) })
      else {
        const thread = pool[sent++ % pool.length]!
        queue.push({ packed: thread.read(part), thread })
      }
      if (queue.length > pool.length * 3) yield* next()
    }
    while (queue.length > 0) yield* next()
  } finally {
    for (const { packed } of queue) packed.catch(() => {})
    await Promise.all(pool.map((thread) => thread.close()))
  }
}

/** One worker and its unanswered blocks, in order. */
class LineThread {
  private readonly worker: Worker
  private readonly waiting: {
    readonly resolve: (block: PackedBlock) => void
    readonly reject: (error: unknown) => void
  }[] = []
  private failure: unknown
  /** buffers of row blocks that have been read, to be returned to the thread that fills them */
  private readonly spent: ArrayBuffer[] = []

  constructor(spec: PlacerSpec, seed: number) {
    this.worker = startWorker('./line-worker', import.meta.url, {
      workerData: { spec, seed },
      // What a block leaves behind is short-lived; a large nursery never copies it.
      resourceLimits: { maxYoungGenerationSizeMb: 64 },
    })
    this.worker.on('message', (block: PackedBlock) => this.waiting.shift()?.resolve(block))
    this.worker.on('error', (error) => {
      this.failure = error
      for (const { reject } of this.waiting.splice(0)) reject(error)
    })
  }

  read(block: LineBlock): Promise<PackedBlock> {
    if (this.failure) return Promise.reject(this.failure)
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject })
      const spent = this.spent.pop()
      const bytes = block.bytes.buffer as ArrayBuffer
      if (spent) this.worker.postMessage({ ...block, spent }, [bytes, spent])
      else this.worker.postMessage(block, [bytes])
    })
  }

  takeBack(spent: ArrayBuffer): void {
    this.spent.push(spent)
  }

  async close(): Promise<void> {
    await this.worker.terminate()
  }
}

type Part = LineBlock | { readonly packed: PackedBlock }

async function* cutAtLines(
  chunks: AsyncIterable<Buffer>,
  path: string,
  seed: number,
): AsyncGenerator<Part> {
  let head = Buffer.alloc(0)
  let skipping = false
  for await (let chunk of chunks) {
    if (skipping) {
      const end = chunk.indexOf(NEWLINE)
      if (end < 0) continue
      skipping = false
      chunk = chunk.subarray(end + 1)
    }
    const last = chunk.lastIndexOf(NEWLINE)
    if (last < 0) {
      head = Buffer.concat([head, chunk])
    } else {
      const rest = Buffer.from(chunk.subarray(last + 1))
      yield { head, bytes: ownBytes(chunk.subarray(0, last + 1)) }
      head = rest
    }
    if (head.length > LINE_BYTES_MAX) {
      head = Buffer.alloc(0)
      skipping = true
      yield { packed: { lines: 1, block: packRows([overlong(path)], seed) } }
    }
  }
  if (head.length > 0) yield { head, bytes: new Uint8Array(0) }
}

/** Copies bytes to a separate buffer, which can be transferred and returned. */
function ownBytes(bytes: Buffer): Uint8Array {
  const { buffer, byteOffset, byteLength } = bytes
  if (byteOffset === 0 && buffer.byteLength === BLOCK_BYTES) {
    return new Uint8Array(buffer, 0, byteLength)
  }
  return Uint8Array.from(bytes)
}

function overlong(path: string): Reject {
  const line = overlongLine(1)
  const reason = 'reason' in line ? line.reason : ''
  return { kind: 'reject', origin: { path, line: 1 }, field: '(line)', reason }
}

function shiftRejects(block: RowBlock, lines: number): RowBlock {
  if (block.rejects.length === 0 || lines === 0) return block
  const rejects = block.rejects.map((reject) => ({
    ...reject,
    origin: { ...reject.origin, line: reject.origin.line + lines },
  }))
  return { ...block, rejects }
}
