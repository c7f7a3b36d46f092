import type {
  ElementType,
  OnnxAttribute,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
  OnnxValue,
} from './model.ts'
import { OPSET } from './model.ts'
import { WireWriter } from './wire.ts'

/** Field numbers below are those of onnx.proto3. */
const IR_VERSION = 8
const ELEMENT_TYPES: Record<ElementType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float64: 11,
}

/** The bytes of a `.onnx` file; deterministic for a given model. */
export function encodeOnnx(model: OnnxModel): Uint8Array {
  const writer = new WireWriter()
  writer.varint(1, IR_VERSION)
  writer.text(2, 'weir')
  writer.message(7, (graph) => writeGraph(graph, model.graph))
  writer.message(8, (opset) => {
    opset.text(1, '')
    opset.varint(2, OPSET)
  })
  for (const [key, value] of Object.entries(model.metadata ?? {})) {
    writer.message(14, (entry) => {
      entry.text(1, key)
      entry.text(2, value)
    })
  }
  return writer.finish()
}

function writeGraph(writer: WireWriter, graph: OnnxGraph): void {
  for (const node of graph.nodes) writer.message(1, (inner) => writeNode(inner, node))
  writer.text(2, graph.name)
  for (const [name, tensor] of graph.initializers) {
    writer.message(5, (inner) => writeTensor(inner, tensor, name))
  }
  for (const value of graph.inputs) writer.message(11, (inner) => writeValue(inner, value))
  for (const value of graph.outputs) writer.message(12, (inner) => writeValue(inner, value))
}

function writeNode(writer: WireWriter, node: OnnxNode): void {
  for (const input of node.inputs) writer.text(1, input)
  for (const output of node.outputs) writer.text(2, output)
  writer.text(4, node.op)
  for (const [name, attribute] of Object.entries(node.attributes ?? {})) {
    writer.message(5, (inner) => writeAttribute(inner, name, attribute))
  }
}

function writeAttribute(writer: WireWriter, name: string, attribute: OnnxAttribute): void {
  writer.text(1, name)
  const type = (code: number): void => writer.varint(20, code)
  if ('float' in attribute) {
    writer.float(2, attribute.float)
    type(1)
  } else if ('int' in attribute) {
    writer.varint(3, attribute.int)
    type(2)
  } else if ('string' in attribute) {
    writer.text(4, attribute.string)
    type(3)
  } else if ('tensor' in attribute) {
    writer.message(5, (inner) => writeTensor(inner, attribute.tensor))
    type(4)
  } else if ('graph' in attribute) {
    writer.message(6, (inner) => writeGraph(inner, attribute.graph))
    type(5)
  } else if ('floats' in attribute) {
    for (const value of attribute.floats) writer.float(7, value)
    type(6)
  } else {
    for (const value of attribute.ints) writer.varint(8, value)
    type(7)
  }
}

function writeTensor(writer: WireWriter, tensor: OnnxTensor, name?: string): void {
  for (const dimension of tensor.shape) writer.varint(1, dimension)
  writer.varint(2, ELEMENT_TYPES[tensor.type])
  if (name !== undefined) writer.text(8, name)
  const { buffer, byteOffset, byteLength } = tensor.data
  writer.bytes(9, new Uint8Array(buffer, byteOffset, byteLength))
}

function writeValue(writer: WireWriter, value: OnnxValue): void {
  writer.text(1, value.name)
  writer.message(2, (type) =>
    type.message(1, (tensor) => {
      tensor.varint(1, ELEMENT_TYPES[value.type])
      tensor.message(2, (shape) => {
        for (const dimension of value.shape) {
          shape.message(1, (inner) => {
            if (typeof dimension === 'number') inner.varint(1, dimension)
            else inner.text(2, dimension)
          })
        }
      })
    }),
  )
}
