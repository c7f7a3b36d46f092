import Type from 'typebox'

/**
 * Turns a head's raw win rate into a calibrated probability. Every map is strictly increasing, so it never
 * changes the ranking. The map is `identity` until a probability calibration has been fitted.
 */
export const CalibrationMap = Type.Union([
  Type.Object({ method: Type.Literal('identity') }),
  /** Platt 1999 on the logit: sigmoid(slope * logit(p) + intercept), slope > 0 */
  Type.Object({
    method: Type.Literal('platt'),
    slope: Type.Number({ exclusiveMinimum: 0 }),
    intercept: Type.Number(),
  }),
  /** Kull et al. 2017: sigmoid(a * ln(p) - b * ln(1 - p) + intercept), a and b > 0 */
  Type.Object({
    method: Type.Literal('beta'),
    a: Type.Number({ exclusiveMinimum: 0 }),
    b: Type.Number({ exclusiveMinimum: 0 }),
    intercept: Type.Number(),
  }),
  /** straight lines between knots; `x` runs from 0 to 1, and both `x` and `y` are strictly increasing */
  Type.Object({
    method: Type.Literal('isotonic'),
    x: Type.Array(Type.Number({ minimum: 0, maximum: 1 }), { minItems: 2 }),
    y: Type.Array(Type.Number({ minimum: 0, maximum: 1 }), { minItems: 2 }),
  }),
])
export type CalibrationMap = Type.Static<typeof CalibrationMap>

/** Win rates are clamped this far from 0 and 1 before a logarithm, here and in the graph. */
export const LOG_MARGIN = 1e-6

/** Maps a win rate in [0, 1] to a calibrated one in [0, 1]. */
export function calibrate(map: CalibrationMap, winRate: number): number {
  switch (map.method) {
    case 'identity':
      return winRate
    case 'platt':
      return sigmoid(map.slope * (logOf(winRate) - logOf(1 - winRate)) + map.intercept)
    case 'beta':
      return sigmoid(map.a * logOf(winRate) - map.b * logOf(1 - winRate) + map.intercept)
    case 'isotonic':
      return interpolate(map.x, map.y, winRate)
  }
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/**
 * The logarithm, continued by its tangent below LOG_MARGIN, so it is finite and strictly increasing on [0,
 * 1].
 */
function logOf(p: number): number {
  if (p >= LOG_MARGIN) return Math.log(p)
  return Math.log(LOG_MARGIN) + (p - LOG_MARGIN) / LOG_MARGIN
}

function interpolate(x: readonly number[], y: readonly number[], at: number): number {
  let low = 0
  let high = x.length - 1
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if (x[middle]! <= at) low = middle
    else high = middle
  }
  const slope = (y[high]! - y[low]!) / (x[high]! - x[low]!)
  return Math.min(1, Math.max(0, y[low]! + slope * (at - x[low]!)))
}
