import { type CalibrationMap, LOG_MARGIN } from '../calibration-map.ts'
import { GraphBuilder } from './builder.ts'
import { encodeOnnx } from './encode.ts'
import { readFields, type WireField, writeFields } from './wire.ts'

/** Field numbers of onnx.proto3. */
const MODEL_GRAPH = 7
const GRAPH = { node: 1, initializer: 5, output: 12 } as const
const NODE = { input: 1, output: 2 } as const
const TENSOR_NAME = 8
const VALUE_NAME = 1

export interface Splice {
  /** the output to transform: its name is given to the result of `append` */
  readonly output: string
  /** the name of the value before the transformation, which also becomes an output */
  readonly before: string
  /** prefix of all appended names; nodes of an earlier splice with this prefix are removed */
  readonly prefix: string
  /** adds nodes that read the named value and returns the name of the result, float32 [n] */
  append(builder: GraphBuilder, value: string): string
}

/**
 * Inserts a step between a finished graph and one of its outputs, in the bytes of the file. The existing
 * bytes are kept, so this works for any family's graph and does not need its weights.
 */
function spliceOnnx(model: Uint8Array, splice: Splice): Uint8Array {
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
  // an Identity passes the result to the output's name, whatever node made it
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

/**
 * A router's graph with `win_rate` calibrated by this map; the head's raw value becomes the output
 * `win_rate_raw`. A map from an earlier calibration is replaced.
 */
export function calibratedGraph(model: Uint8Array, map: CalibrationMap): Uint8Array {
  return spliceOnnx(model, {
    output: 'win_rate',
    before: 'win_rate_raw',
    prefix: 'calibration_',
    append: (builder, value) => appendCalibration(builder, map, value),
  })
}

/**
 * Appends a calibration map to a graph: takes the name of raw win rates, float32 [n], and returns the name of
 * calibrated ones, float32 [n]. Agrees with `calibrate` to 1e-6.
 */
export function appendCalibration(
  builder: GraphBuilder,
  map: CalibrationMap,
  winRate: string,
): string {
  switch (map.method) {
    case 'identity':
      return winRate
    case 'platt':
      return logistic(builder, winRate, map.slope, map.slope, map.intercept)
    case 'beta':
      return logistic(builder, winRate, map.a, map.b, map.intercept)
    case 'isotonic':
      return hinges(builder, winRate, map.x, map.y)
  }
}

/** sigmoid(a log(p) - b log(1 - p) + c) */
function logistic(builder: GraphBuilder, p: string, a: number, b: number, c: number): string {
  const rest = builder.node('Sub', [builder.scalar(1), p])
  const up = builder.node('Mul', [logarithm(builder, p), builder.scalar(a)])
  const down = builder.node('Mul', [logarithm(builder, rest), builder.scalar(b)])
  const logit = builder.node('Add', [builder.node('Sub', [up, down]), builder.scalar(c)])
  return builder.node('Sigmoid', [logit])
}

/** log(max(p, m)) + min(p - m, 0) / m */
function logarithm(builder: GraphBuilder, p: string): string {
  const margin = builder.scalar(LOG_MARGIN)
  const log = builder.node('Log', [builder.node('Max', [p, margin])])
  const below = builder.node('Min', [builder.node('Sub', [p, margin]), builder.scalar(0)])
  return builder.node('Add', [log, builder.node('Div', [below, margin])])
}

/** y0 + sum over segments of slope * clip(p - x_k, 0, width_k): straight lines between the knots. */
function hinges(
  builder: GraphBuilder,
  p: string,
  x: readonly number[],
  y: readonly number[],
): string {
  const segments = x.length - 1
  const width = Float32Array.from({ length: segments }, (_, k) => x[k + 1]! - x[k]!)
  const slope = Float32Array.from({ length: segments }, (_, k) => (y[k + 1]! - y[k]!) / width[k]!)
  const column = builder.node('Unsqueeze', [p, builder.integers([1])])
  const past = builder.node('Sub', [column, builder.floats(x.slice(0, -1), [1, segments])])
  const bounded = builder.node('Min', [
    builder.node('Relu', [past]),
    builder.floats(width, [1, segments]),
  ])
  const risen = builder.node('MatMul', [bounded, builder.floats(slope, [segments, 1])])
  const flat = builder.node('Squeeze', [risen, builder.integers([1])])
  const sum = builder.node('Add', [flat, builder.scalar(y[0]!)])
  const floor = builder.node('Max', [sum, builder.scalar(0)])
  return builder.node('Min', [floor, builder.scalar(1)])
}
