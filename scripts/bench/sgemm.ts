import { GraphBuilder } from '../../models/onnx/builder.ts'
import { encodeOnnx } from '../../models/onnx/encode.ts'
import { createSession, openOrt } from '../../models/onnx/session.ts'

const SIZE = 1024

/** GFLOP/s of this machine's best single-precision matrix product: onnxruntime's, 1024 cubed. */
export async function measureSgemm(threads: number): Promise<number> {
  const graph = new GraphBuilder()
  const shape = [SIZE, SIZE]
  graph.input('a', 'float32', shape)
  graph.input('b', 'float32', shape)
  graph.output(graph.node('MatMul', ['a', 'b']), 'float32', shape, 'c')
  const session = await createSession(encodeOnnx({ graph: graph.finish('sgemm') }), { threads })
  const ort = await openOrt()
  const values = new Float32Array(SIZE * SIZE).fill(0.5)
  const tensor = new ort.Tensor('float32', values, shape)
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 12; round++) {
    const began = performance.now()
    await session.run({ a: tensor, b: tensor })
    best = Math.min(best, (performance.now() - began) / 1000)
  }
  return (2 * SIZE ** 3) / best / 1e9
}
