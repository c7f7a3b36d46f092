import { fromBinary } from '@bufbuild/protobuf'
import { ModelProtoSchema } from 'onnx-buf'
import { expect, test } from 'vitest'
import { encodeOnnx } from '../../../models/onnx/encode.ts'
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
  // iteration, condition, and three tensors a parameter; out: condition, those, the loss
  const states = 3 * Object.keys(spec.parameters).length
  expect(body.input).toHaveLength(2 + states)
  expect(body.output).toHaveLength(2 + states)
})

test('the same loss gives the same file', () => {
  expect(encodeOnnx(epochGraph(spec, train, 16))).toEqual(file)
})
