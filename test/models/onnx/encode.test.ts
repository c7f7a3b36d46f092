import { fromBinary } from '@bufbuild/protobuf'
import { ModelProtoSchema } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../../../models/onnx/builder.ts'
import { encodeOnnx } from '../../../models/onnx/encode.ts'
import { createSession, openOrt } from '../../../models/onnx/session.ts'

/** y = relu(x W) + attribute-carrying nodes, with every kind of attribute and value the writer knows. */
function sample() {
  const builder = new GraphBuilder()
  const x = builder.input('x', 'float32', ['batch', 3])
  const w = builder.floats([1, 0, 0, -1, 0.5, 2], [3, 2], 'w')
  const product = builder.node('MatMul', [x, w])
  const clipped = builder.node('LeakyRelu', [product], { alpha: { float: 0.25 } })
  const moved = builder.node('Transpose', [clipped], { perm: { ints: [1, 0] } })
  builder.output(moved, 'float32', [2, 'batch'], 'y')
  return builder.finish('sample')
}

describe('encodeOnnx', () => {
  it('writes a file that an independent reader reads back', () => {
    const bytes = encodeOnnx({ graph: sample(), metadata: { author: 'weir' } })
    const model = fromBinary(ModelProtoSchema, bytes)
    expect(Number(model.irVersion)).toBe(8)
    expect(model.opsetImport.map(({ domain, version }) => [domain, Number(version)])).toEqual([
      ['', 17],
    ])
    expect(model.metadataProps.map(({ key, value }) => [key, value])).toEqual([['author', 'weir']])
    const graph = model.graph!
    expect(graph.node!.map((node) => node.opType)).toEqual([
      'MatMul',
      'LeakyRelu',
      'Transpose',
      'Identity',
    ])
    expect(graph.node![1]!.attribute![0]!.f).toBe(0.25)
    expect(graph.node![2]!.attribute![0]!.ints!.map(Number)).toEqual([1, 0])
    const weights = graph.initializer![0]!
    expect(weights.dims!.map(Number)).toEqual([3, 2])
    const raw = Buffer.from(weights.rawData!)
    expect(Array.from({ length: 6 }, (_, i) => raw.readFloatLE(4 * i))).toEqual([
      1, 0, 0, -1, 0.5, 2,
    ])
    const type = graph.input[0]!.type!.value
    if (type.case !== 'tensorType') throw new Error('expected a tensor')
    expect(type.value.shape!.dim.map((dim) => dim.value.value)).toEqual(['batch', 3n])
  })

  it('writes a graph that ONNX Runtime runs', async () => {
    const ort = await openOrt()
    const session = await createSession(encodeOnnx({ graph: sample() }), { threads: 1 })
    const x = new ort.Tensor('float32', Float32Array.of(1, 2, 3, -1, 0, 1), [2, 3])
    const { y } = await session.run({ x })
    // x W = [[2.5, 4], [-0.5, 2]], leaky by a quarter, transposed
    expect(Array.from(y!.data as Float32Array)).toEqual([2.5, -0.125, 4, 2])
    await session.release()
  })

  it('writes the same bytes for the same graph', () => {
    expect(encodeOnnx({ graph: sample() })).toEqual(encodeOnnx({ graph: sample() }))
  })

  it('has a graph refused as onnx_failed when ONNX Runtime cannot read it', async () => {
    const builder = new GraphBuilder()
    const x = builder.input('x', 'float32', [1])
    builder.output(builder.node('NoSuchOperator', [x]), 'float32', [1], 'y')
    const bytes = encodeOnnx({ graph: builder.finish('bad') })
    await expect(createSession(bytes, { threads: 1 })).rejects.toMatchObject({
      code: 'onnx_failed',
    })
  })
})
