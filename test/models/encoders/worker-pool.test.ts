import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Encoder, EncoderArtifact } from '../../../models/encoders/encoder.ts'
import { makeHf } from '../../../models/encoders/hf/encoder.ts'
import {
  EncodeThread,
  type EncodeWorkerOptions,
  startEncodeWorkers,
} from '../../../models/encoders/worker/pool.ts'
import { describeEncoderContract } from '../../../testing/encoder-contract.ts'
import { writeTinyModel } from './hf/tiny-model.ts'

let folder: string
let made: EncoderArtifact
const pools: Encoder[] = []

async function pool(options: EncodeWorkerOptions = {}): Promise<Encoder> {
  made ??= await makeTiny()
  const encoder = await startEncodeWorkers(made.encoder.spec, made.files, options)
  pools.push(encoder)
  return encoder
}

async function makeTiny(): Promise<EncoderArtifact> {
  await writeTinyModel(folder)
  return makeHf(folder)
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-pool-'))
})
afterAll(async () => {
  await Promise.all(pools.map((encoder) => encoder.close?.()))
  await made?.encoder.close?.()
  await rm(folder, { recursive: true, force: true })
})

const many = (n: number): string[] => Array.from({ length: n }, (_, i) => `prompt number ${i}`)

describeEncoderContract('hf in a worker thread', () => pool({ workers: 1, batch: 3 }))

describe('encoding in worker threads', () => {
  // a thread takes a second to start from source, so the cases share one where they can
  let shared: Encoder
  beforeAll(async () => {
    shared = await pool({ workers: 2, queueLimit: 10 })
  })

  it('gives the numbers that the encoder gives on the calling thread', async () => {
    const prompts = many(50)
    const inline = await made.encoder.encode(prompts)
    const there = await shared.encode(prompts)
    expect(there.truncated).toEqual(inline.truncated)
    if (there.embeddings.kind !== 'dense' || inline.embeddings.kind !== 'dense') throw new Error()
    for (const [i, value] of inline.embeddings.values.entries()) {
      expect(there.embeddings.values[i]).toBeCloseTo(value, 5)
    }
  })

  it('refuses a call when as many prompts wait as may, and works again afterwards', async () => {
    const first = shared.encode(many(200))
    await expect(shared.encode(['one more'])).rejects.toMatchObject({
      code: 'encoder_busy',
      status: 503,
    })
    expect((await first).embeddings.rows).toBe(200)
    expect((await shared.encode(['one more'])).embeddings.rows).toBe(1)
  })

  it('gives a call up at its deadline, and leaves the others alone', async () => {
    const encoder = await pool({ workers: 1, deadlineMs: 1 })
    const first = encoder.encode(many(400))
    await expect(encoder.encode(['waits behind them'])).rejects.toMatchObject({
      code: 'encoder_late',
      status: 504,
    })
    expect((await first).embeddings.rows).toBe(400)
  })

  it('takes the prompts of an aborted call out of the queue', async () => {
    const controller = new AbortController()
    const first = shared.encode(many(300), controller.signal)
    controller.abort()
    await expect(first).rejects.toMatchObject({ code: 'cancelled' })
    expect((await shared.encode(['next'])).embeddings.rows).toBe(1)
  })

  it('fails what waits when it is closed', async () => {
    const waiting = shared.encode(many(300))
    const failed = expect(waiting).rejects.toMatchObject({ code: 'encoder_unavailable' })
    await shared.close?.()
    await failed
  })

  it('says why an encoder could not be loaded', async () => {
    const files = new Map(made.files).set('encoder/model.onnx', new Uint8Array([1, 2, 3]))
    await expect(
      startEncodeWorkers(made.encoder.spec, files, { workers: 1 }),
    ).rejects.toMatchObject({
      code: 'encoder_unavailable',
      message: expect.stringMatching(/ONNX Runtime could not read the graph/),
    })
  })

  it('fails the batch of a thread that dies, and starts the thread again for the next', async () => {
    const { spec } = made.encoder
    const thread = new EncodeThread({ spec, files: made.files, threads: 1 })
    await thread.start()
    const lost = thread.encode(many(8))
    const failed = expect(lost).rejects.toMatchObject({ code: 'encoder_unavailable' })
    await (thread as unknown as { worker: Worker }).worker.terminate()
    await failed
    const again = await thread.encode(['x'])
    expect(again.values).toHaveLength(spec.dimension)
    await thread.close()
  })
})
