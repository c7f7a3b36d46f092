import { describe, expect, it } from 'vitest'
import { openGraphHead } from '../../models/bundle/graph-head.ts'
import { type CalibrationMap, calibrate } from '../../models/calibration-map.ts'
import { GraphBuilder } from '../../models/onnx/builder.ts'
import { encodeOnnx } from '../../models/onnx/encode.ts'
import { createSession, openOrt } from '../../models/onnx/session.ts'
import { calibratedGraph } from '../../models/onnx/splice.ts'

const MAPS: readonly CalibrationMap[] = [
  { method: 'identity' },
  { method: 'platt', slope: 0.6, intercept: -0.3 },
  { method: 'beta', a: 1.4, b: 0.2, intercept: 0.1 },
  { method: 'isotonic', x: [0, 0.31, 0.5, 0.62, 1], y: [0.2, 0.21, 0.55, 0.9, 0.9005] },
]
const points = Float32Array.from({ length: 2001 }, (_, i) => i / 2000)

/** Sends its input through as the win rate. */
function plainGraph(): Uint8Array {
  const builder = new GraphBuilder()
  const input = builder.input('embedding', 'float32', ['batch', 1])
  const flat = builder.node('Squeeze', [input, builder.integers([1])])
  builder.output(flat, 'float32', ['batch'], 'win_rate')
  return encodeOnnx({ graph: builder.finish('plain') })
}

async function run(model: Uint8Array): Promise<Record<string, Float32Array>> {
  const ort = await openOrt()
  const session = await createSession(model, { threads: 1 })
  const outputs = await session.run({
    embedding: new ort.Tensor('float32', points, [points.length, 1]),
  })
  await session.release()
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [name, tensor.data as Float32Array]),
  )
}

describe.each(MAPS)('the $method map', (map) => {
  it('rises strictly on all of [0, 1] and stays in it', () => {
    let before = -1
    for (let i = 0; i <= 5000; i++) {
      const value = calibrate(map, i / 5000)
      expect(value).toBeGreaterThan(before)
      expect(value).toBeLessThanOrEqual(1)
      before = value
    }
    expect(calibrate(map, 0)).toBeGreaterThanOrEqual(0)
  })

  it('gives the same inside the graph, to 1e-6', async () => {
    const { win_rate: calibrated, win_rate_raw: raw } = await run(
      calibratedGraph(plainGraph(), map),
    )
    points.forEach((p, i) => {
      expect(raw![i]).toBe(p)
      expect(Math.abs(calibrated![i]! - calibrate(map, p))).toBeLessThan(1e-6)
    })
  })

  it('replaces an earlier map in the graph', async () => {
    const earlier = calibratedGraph(plainGraph(), { method: 'platt', slope: 3, intercept: 1 })
    const { win_rate: calibrated } = await run(calibratedGraph(earlier, map))
    expect(calibrated![700]).toBeCloseTo(calibrate(map, 0.35), 6)
    expect(calibratedGraph(earlier, map)).toHaveLength(calibratedGraph(plainGraph(), map).length)
  })

  it('leaves the raw win rate to the router, which calibrates once', async () => {
    const head = await openGraphHead(calibratedGraph(plainGraph(), map), 1)
    const { winRate } = await head.score({
      kind: 'dense',
      rows: 3,
      dimension: 1,
      values: Float32Array.of(0.25, 0.5, 0.75),
    })
    expect([...winRate]).toEqual([0.25, 0.5, 0.75])
    await head.close()
  })
})
