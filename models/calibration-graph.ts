import { type CalibrationMap, LOG_MARGIN } from './calibration-map.ts'
import type { GraphBuilder } from './onnx/builder.ts'
import { spliceOnnx } from './onnx/splice.ts'

/**
 * A router's graph whose `win_rate` is calibrated by this map; the head's own stays beside it as
 * `win_rate_raw`. A map of an earlier calibration is replaced.
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
 * Appends a calibration map to a graph: from the name of raw win rates, float32 [n], to the name of
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
