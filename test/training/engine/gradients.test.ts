import { afterAll, describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { Engine, FitSpec, RowLoss } from '../../../training/engine/engine.ts'
import { createOnnxEngine } from '../../../training/engine/onnx-engine.ts'
import { createTfjsEngine } from '../../../training/engine/tfjs-engine.ts'
import { mlpProblem, preferenceProblem, successProblem, vectorProblem } from './problems.ts'

const engines: Record<string, Engine> = {
  onnx: createOnnxEngine(),
  tfjs: await createTfjsEngine(),
}
afterAll(() => Promise.all(Object.values(engines).map((engine) => engine.close())))

const problems = {
  preference: preferenceProblem(),
  success: successProblem(),
  'mlp success': mlpProblem(3),
  'mlp pair': mlpProblem(1),
  'mf success': vectorProblem(),
}

/** Least relative difference that float32 sums leave between two engines: hidden layers add up more terms. */
const AGREED: Readonly<Record<string, number>> = { preference: 5e-7, success: 5e-7 }

describe.each(Object.entries(problems))('the %s loss', (name, { spec, train }) => {
  test('both engines give the same loss and gradients', async () => {
    const [onnx, tfjs] = await Promise.all([
      engines.onnx!.gradients(spec, train),
      engines.tfjs!.gradients(spec, train),
    ])
    expect(Math.abs(onnx.loss / tfjs.loss - 1)).toBeLessThan(AGREED[name] ?? 2e-6)
    for (const name of Object.keys(spec.parameters)) {
      expect(onnx.gradients[name]!.shape).toEqual(spec.parameters[name]!.shape)
      expectClose(onnx.gradients[name]!.values, tfjs.gradients[name]!.values, 1e-5)
    }
  })

  test.each(Object.keys(engines))('%s agrees with central differences', async (name) => {
    const engine = engines[name]!
    const { gradients } = await engine.gradients(spec, train)
    const random = createRandom(3)
    const direction = Object.fromEntries(
      Object.entries(spec.parameters).map(([key, { values }]) => [
        key,
        values.map(() => random.normal()),
      ]),
    )
    const step = 5e-4 // few enough of a hidden layer's kinks are crossed
    const rise = await engine.gradients(moved(spec, direction, step), train)
    const fall = await engine.gradients(moved(spec, direction, -step), train)
    let slope = 0
    for (const [key, along] of Object.entries(direction)) {
      for (const [i, d] of along.entries()) slope += d * gradients[key]!.values[i]!
    }
    expect((rise.loss - fall.loss) / (2 * step) / slope).toBeCloseTo(1, 2)
  })
})

test('a large table is gathered without one-hot and has the same gradient', async () => {
  const { spec, train } = preferenceProblem(400, 1500)
  const onnx = await engines.onnx!.gradients(spec, train)
  const tfjs = await engines.tfjs!.gradients(spec, train)
  for (const name of Object.keys(spec.parameters)) {
    expectClose(onnx.gradients[name]!.values, tfjs.gradients[name]!.values, 1e-5)
  }
})

test.each([5, 700])('gatherDifference over %i rows is the difference of two gathers', async (n) => {
  const { spec, train } = preferenceProblem(120, n)
  const loss: RowLoss = (ops, p, batch) => {
    const unit = ops.normaliseRows(p.vectors!)
    const text = ops.add(ops.matmul(batch.prompt!, p.projection!), p.bias!)
    const apart = ops.gatherDifference(unit, batch.a!, batch.b!)
    const delta = ops.sumLast(ops.mul(ops.mul(apart, text), p.output!))
    return ops.sub(ops.softplus(delta), ops.mul(delta, batch.label!))
  }
  const expected = await engines.tfjs!.gradients(spec, train)
  for (const engine of Object.values(engines)) {
    const { gradients } = await engine.gradients({ ...spec, loss }, train)
    for (const name of Object.keys(spec.parameters)) {
      expectClose(gradients[name]!.values, expected.gradients[name]!.values, 1e-5)
    }
  }
})

function moved(
  spec: FitSpec,
  direction: Readonly<Record<string, Float32Array>>,
  step: number,
): FitSpec {
  const parameters = Object.fromEntries(
    Object.entries(spec.parameters).map(([name, parameter]) => [
      name,
      { ...parameter, values: parameter.values.map((v, i) => v + step * direction[name]![i]!) },
    ]),
  )
  return { ...spec, parameters }
}

/** The largest difference, in units of the largest value. */
function expectClose(got: Float32Array, expected: Float32Array, tolerance: number): void {
  expect(got.length).toBe(expected.length)
  const largest = Math.max(...expected.map(Math.abs))
  const worst = Math.max(...got.map((value, i) => Math.abs(value - expected[i]!)))
  expect(worst / largest).toBeLessThan(tolerance)
}
