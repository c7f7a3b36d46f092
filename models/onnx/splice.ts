import { GraphBuilder } from './builder.ts'
import { encodeOnnx } from './encode.ts'
import { readFields, type WireField, writeFields } from './wire-fields.ts'

/** Field numbers of onnx.proto3. */
const MODEL_GRAPH = 7
const GRAPH = { node: 1, initializer: 5, output: 12 } as const
const NODE = { input: 1, output: 2 } as const
const TENSOR_NAME = 8
const VALUE_NAME = 1

export interface Splice {
  /** the output whose value is worked on: what comes out under its name is `append`'s result */
  readonly output: string
  /** the name under which the value before is known, and given out as well */
  readonly before: string
  /** begins the names of all that is appended; what an earlier splice left under it is taken out */
  readonly prefix: string
  /** adds nodes that read the value of this name and gives the name of the result, float32 [n] */
  append(builder: GraphBuilder, value: string): string
}

/**
 * Puts a step between a finished graph and one of its outputs, in the bytes of the file: what was written
 * stays as it was, so any family's graph will do and its weights are not needed.
 */
export function spliceOnnx(model: Uint8Array, splice: Splice): Uint8Array {
  const fields = readFields(model).map((field) =>
    field.number === MODEL_GRAPH ? { ...field, bytes: spliceGraph(field.bytes, splice) } : field,
  )
  return writeFields(fields)
}

function spliceGraph(graph: Uint8Array, splice: Splice): Uint8Array {
  const { output, before, prefix } = splice
  const fields = readFields(graph).filter((field) => !isEarlier(field, prefix))
  const known = fields.some((field) => field.number === GRAPH.output && nameOf(field) === before)
  const renamed = fields.map((field) =>
    field.number === GRAPH.node && !known ? renameValue(field, output, before) : field,
  )
  const builder = new GraphBuilder(prefix)
  // an Identity carries the result to the output's name, whatever node made it
  builder.output(splice.append(builder, before), 'float32', ['batch'], output)
  if (!known) builder.output(before, 'float32', ['batch'])
  const appended = graphFields(encodeOnnx({ graph: builder.finish('splice') }))
  const wanted = appended.filter(
    ({ number, bytes }) =>
      number === GRAPH.node ||
      number === GRAPH.initializer ||
      (number === GRAPH.output && text(bytes, VALUE_NAME) === before && !known),
  )
  return writeFields([...renamed, ...wanted])
}

const graphFields = (model: Uint8Array): WireField[] =>
  readFields(readFields(model).find(({ number }) => number === MODEL_GRAPH)!.bytes)

/** A node or initializer of an earlier splice. */
function isEarlier(field: WireField, prefix: string): boolean {
  if (field.number === GRAPH.initializer) return text(field.bytes, TENSOR_NAME).startsWith(prefix)
  if (field.number !== GRAPH.node) return false
  return readFields(field.bytes).some(
    ({ number, bytes }) =>
      (number === NODE.input || number === NODE.output) && utf8(bytes).startsWith(prefix),
  )
}

function renameValue(node: WireField, from: string, to: string): WireField {
  const fields = readFields(node.bytes).map((field) => {
    const value = field.number === NODE.input || field.number === NODE.output
    return value && utf8(field.bytes) === from ? { ...field, bytes: Buffer.from(to) } : field
  })
  return { ...node, bytes: writeFields(fields) }
}

const nameOf = (field: WireField): string => text(field.bytes, VALUE_NAME)
const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')

function text(message: Uint8Array, number: number): string {
  const field = readFields(message).find((each) => each.number === number)
  return field ? utf8(field.bytes) : ''
}
