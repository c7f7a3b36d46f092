import { expect, test } from 'vitest'
import { GraphBuilder } from '../../../models/onnx/builder.ts'
import { encodeOnnx } from '../../../models/onnx/encode.ts'
import { SessionClient } from '../../../training/engine/session-client.ts'

function doubling(): Uint8Array {
  const graph = new GraphBuilder()
  graph.input('x', 'float32', ['n'])
  graph.output(graph.node('Add', ['x', 'x']), 'float32', ['n'], 'y')
  return encodeOnnx({ graph: graph.finish('doubling') })
}

test('a tensor stays in the worker from one run to the next', async () => {
  const client = new SessionClient()
  await client.load('double', doubling(), 1)
  await client.keep('x', { shape: [2], values: Float32Array.of(1, 2) })
  const again = { feeds: {}, kept: { x: 'x' }, keep: { y: 'x' }, fetch: ['y'] }
  await client.run('double', again)
  const { y } = await client.run('double', again)
  expect(y).toEqual({ shape: [2], values: Float32Array.of(4, 8) })
  expect((await client.read(['x'])).x).toEqual(y)
  await client.close()
})

test('what ONNX Runtime refuses is an error of ours, and the worker goes on', async () => {
  const client = new SessionClient()
  await expect(client.load('broken', Uint8Array.of(1, 2, 3), 1)).rejects.toMatchObject({
    code: 'onnx_failed',
  })
  await client.load('double', doubling(), 1)
  await expect(
    client.run('double', { feeds: {}, kept: {}, keep: {}, fetch: ['y'] }),
  ).rejects.toMatchObject({ code: 'onnx_failed' })
  const feeds = { x: { shape: [1], values: Float32Array.of(3) } }
  const { y } = await client.run('double', { feeds, kept: {}, keep: {}, fetch: ['y'] })
  expect(y!.values).toEqual(Float32Array.of(6))
  await client.close()
})

test('a call after the thread has ended is refused instead of waiting for ever', async () => {
  const client = new SessionClient()
  const waiting = client.load('double', doubling(), 1)
  const refused = expect(waiting).rejects.toThrow('its thread ended')
  await client.close()
  await refused
  await expect(client.read([])).rejects.toThrow('its thread ended')
})
