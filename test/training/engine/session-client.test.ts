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

test('a call after it is closed is refused instead of waiting for ever', async () => {
  const client = new SessionClient()
  const waiting = client.load('double', doubling(), 1)
  const refused = expect(waiting).rejects.toThrow('it is closed')
  await client.close()
  await refused
  await expect(client.read([])).rejects.toThrow('it is closed')
})

/** A product that keeps the runtime busy for some hundred milliseconds. */
function squaring(): Uint8Array {
  const graph = new GraphBuilder()
  graph.input('x', 'float32', ['n', 'n'])
  graph.output(graph.node('MatMul', ['x', 'x']), 'float32', ['n', 'n'], 'y')
  return encodeOnnx({ graph: graph.finish('squaring') })
}

// a thread that is ended inside the runtime aborts the process, and the tests with it
test('closed while the runtime works, it ends when that is done', async () => {
  const n = 2000
  const x = { shape: [n, n], values: new Float32Array(n * n).fill(1) }
  for (const later of [1, 40]) {
    const client = new SessionClient()
    await client.load('square', squaring(), 1)
    await client.keep('x', x)
    const run = client.run('square', { feeds: {}, kept: { x: 'x' }, keep: { y: 'y' }, fetch: [] })
    const refused = expect(run).rejects.toThrow('it is closed')
    await new Promise((resolve) => setTimeout(resolve, later))
    await client.close()
    await refused
  }
})
