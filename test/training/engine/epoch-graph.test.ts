import { fromBinary } from '@bufbuild/protobuf'
import { ModelProtoSchema } from 'onnx-buf'
import { expect, test } from 'vitest'
import { encodeOnnx } from '../../../models/onnx/encode.ts'
import { packBlock, planBlocks, unpackBlock } from '../../../training/engine/batches.ts'
import { epochGraph } from '../../../training/engine/epoch-graph.ts'
import { preferenceProblem } from './problems.ts'

const { spec, train } = preferenceProblem()
const file = encodeOnnx(epochGraph(spec, train, 16))

test('an epoch is one Loop of standard operators, and the file reads back', () => {
  const { graph, opsetImport } = fromBinary(ModelProtoSchema, file)
  expect(opsetImport.map((set) => set.domain)).toEqual([''])
  const loops = graph!.node.filter((node) => node.opType === 'Loop')
  expect(loops).toHaveLength(1)
  const body = loops[0]!.attribute.find((attribute) => attribute.name === 'body')!.g!
  expect(body.node.some((node) => node.opType === 'Gemm')).toBe(true)
  // iteration, condition and the small parameters as one block with its two moments; out: the loss too
  expect(body.input).toHaveLength(2 + 3)
  expect(body.output).toHaveLength(1 + 3 + 1)
})

test('a large parameter is a block of its own', () => {
  const wide = { shape: [700, 100], values: new Float32Array(70_000), l2: 0 }
  const blocks = planBlocks({ ...spec.parameters, wide })
  expect(blocks.map((block) => block.parts.length).sort()).toEqual([1, 4])
  const values = packBlock(blocks[1]!, spec.parameters)
  const back = Object.fromEntries(unpackBlock(blocks[1]!, values))
  for (const [name, { shape, values }] of Object.entries(spec.parameters)) {
    expect(back[name]).toEqual({ shape, values })
  }
})

test('the same loss gives the same file', () => {
  expect(encodeOnnx(epochGraph(spec, train, 16))).toEqual(file)
})
