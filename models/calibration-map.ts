import Type from 'typebox'

/**
 * Turns a head's raw win rate into a calibrated probability. Always strictly increasing, so that it
 * never changes the ranking. `identity` until a probability calibration has been fitted.
 */
export const CalibrationMap = Type.Union([
  Type.Object({ method: Type.Literal('identity') }),
  /** Platt 1999 on the logit: sigmoid(slope * logit(p) + intercept), slope > 0 */
  Type.Object({
    method: Type.Literal('platt'),
    slope: Type.Number({ exclusiveMinimum: 0 }),
    intercept: Type.Number(),
  }),
])
export type CalibrationMap = Type.Static<typeof CalibrationMap>

/** Win rates in [0, 1] to calibrated win rates in [0, 1]. */
export function calibrate(map: CalibrationMap, winRate: number): number {
  if (map.method === 'identity') return winRate
  const logit = Math.log(winRate / (1 - winRate))
  return 1 / (1 + Math.exp(-(map.slope * logit + map.intercept)))
}
