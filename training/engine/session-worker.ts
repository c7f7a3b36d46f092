import { parentPort } from 'node:worker_threads'
import {
  createSession,
  type OrtSession,
  type OrtTensor,
  openOrt,
} from '../../models/onnx/session.ts'
import type { SessionReply, SessionRequest, WireTensor } from './session-client.ts'

/** A thread that holds sessions and tensors, so that training never blocks the caller's thread. */
const sessions = new Map<string, OrtSession>()
const kept = new Map<string, OrtTensor>()
const port = parentPort!

async function answer(request: SessionRequest): Promise<NonNullable<SessionReply['result']>> {
  const ort = await openOrt()
  switch (request.kind) {
    case 'load':
      sessions.set(request.name, await createSession(request.model, { threads: request.threads }))
      return { version: ort.env.versions.node ?? 'unknown' }
    case 'keep':
      kept.set(request.name, toOrt(request.tensor))
      return {}
    case 'run': {
      const feeds: Record<string, OrtTensor> = {}
      for (const [input, tensor] of Object.entries(request.feeds)) feeds[input] = toOrt(tensor)
      for (const [input, name] of Object.entries(request.kept)) feeds[input] = kept.get(name)!
      const outputs = await sessions.get(request.name)!.run(feeds)
      for (const [output, name] of Object.entries(request.keep)) kept.set(name, outputs[output]!)
      return { tensors: Object.fromEntries(request.fetch.map((o) => [o, fromOrt(outputs[o]!)])) }
    }
    case 'read':
      return { tensors: Object.fromEntries(request.names.map((n) => [n, fromOrt(kept.get(n)!)])) }
  }

  function toOrt({ values, shape }: WireTensor): OrtTensor {
    if (values instanceof Float32Array) return new ort.Tensor('float32', values, shape)
    if (values instanceof Int32Array) return new ort.Tensor('int32', values, shape)
    return new ort.Tensor('int64', values, shape)
  }
}

function fromOrt(tensor: OrtTensor): WireTensor {
  return { values: tensor.data as Float32Array, shape: tensor.dims }
}

port.on('message', (request: SessionRequest) => {
  answer(request).then(
    (result) => port.postMessage({ id: request.id, result } satisfies SessionReply),
    (error: unknown) => port.postMessage({ id: request.id, error: String(error) }),
  )
})
