import { afterAll, describe, expect, test } from 'vitest'
import type { Engine, FitOptions, FitRows } from '../../../training/engine/engine.ts'
import { createEngine } from '../../../training/engine/engines.ts'
import { preferenceProblem, successProblem } from './problems.ts'

const engines: Record<string, Engine> = {
  onnx: await createEngine('onnx'),
  tfjs: await createEngine('tfjs'),
}
afterAll(() => Promise.all(Object.values(engines).map((engine) => engine.close())))

const options: FitOptions = {
  epochs: 6,
  batchSize: 16,
  learningRate: 0.01,
  patience: 6,
  seed: 5,
  threads: 1,
}
const problems = { preference: preferenceProblem(), success: successProblem() }

test.each(Object.entries(problems))('%s: one seed, the same losses in both', async (_, problem) => {
  const [onnx, tfjs] = await Promise.all([
    engines.onnx!.fit(problem.spec, problem, options),
    engines.tfjs!.fit(problem.spec, problem, options),
  ])
  expect(onnx.epochs).toHaveLength(options.epochs)
  for (const [i, epoch] of onnx.epochs.entries()) {
    expect(Math.abs(epoch.trainLoss / tfjs.epochs[i]!.trainLoss - 1)).toBeLessThan(1e-5)
    expect(Math.abs(epoch.validationLoss / tfjs.epochs[i]!.validationLoss - 1)).toBeLessThan(1e-5)
  }
  expect(onnx.bestEpoch).toBe(tfjs.bestEpoch)
  expect(onnx.epochs.at(-1)!.trainLoss).toBeLessThan(onnx.epochs[0]!.trainLoss)
})

describe.each(Object.keys(engines))('%s', (name) => {
  const engine = engines[name]!
  const { spec, train, validation } = problems.preference

  test('the same seed gives the same bytes and another seed does not', async () => {
    const data = { train, validation }
    const once = await engine.fit(spec, data, { ...options, epochs: 2 })
    const again = await engine.fit(spec, data, { ...options, epochs: 2 })
    const other = await engine.fit(spec, data, { ...options, epochs: 2, seed: 6 })
    expect(again.parameters).toEqual(once.parameters)
    expect(other.parameters).not.toEqual(once.parameters)
  })

  test('stops when validation stops improving and keeps the best epoch', async () => {
    const overfit = { ...options, epochs: 60, learningRate: 0.1, patience: 3 }
    const small = preferenceProblem(40)
    const result = await engine.fit(small.spec, small, overfit)
    const losses = result.epochs.map((epoch) => epoch.validationLoss)
    expect(result.epochs.length).toBe(result.bestEpoch + 3)
    expect(losses[result.bestEpoch - 1]).toBe(Math.min(...losses))
    const best = { ...small.spec, parameters: noL2(result.parameters) }
    const { loss } = await engine.gradients(best, small.validation)
    expect(loss).toBeCloseTo(Math.min(...losses), 5)
  })

  test('rows that pad the last batch weigh nothing', async () => {
    const direct = await engine.gradients({ ...spec, parameters: noL2(spec.parameters) }, train)
    const ragged = { ...options, epochs: 1, batchSize: 64, learningRate: 0 }
    const still = await engine.fit(spec, { train, validation }, ragged)
    expect(still.epochs[0]!.trainLoss).toBeCloseTo(direct.loss, 5)
    // one step on 76 rows of which one weighs nothing moves the parameters as one step on 75 does
    const rows75 = withRows(train, 75)
    const rows76 = withRows(train, 76)
    rows76.weight[75] = 0
    const once = { ...options, epochs: 1, batchSize: 76 }
    const less = await engine.fit(spec, { train: rows75, validation }, once)
    const more = await engine.fit(spec, { train: rows76, validation }, once)
    for (const [key, { values }] of Object.entries(less.parameters)) {
      for (const [i, value] of values.entries()) {
        expect(more.parameters[key]!.values[i]).toBeCloseTo(value, 5)
      }
    }
  })

  test('an abort between epochs returns the best so far', async () => {
    const controller = new AbortController()
    const result = await engine.fit(
      spec,
      { train, validation },
      {
        ...options,
        epochs: 50,
        patience: 50,
        signal: controller.signal,
        onProgress: ({ done }) => done === 3 && controller.abort(),
      },
    )
    expect(result.stopped).toBe(true)
    expect(result.epochs).toHaveLength(3)
  })

  test('an abort before the first epoch is `cancelled`', async () => {
    const signal = AbortSignal.abort()
    const fit = engine.fit(spec, { train, validation }, { ...options, signal })
    await expect(fit).rejects.toMatchObject({ code: 'cancelled' })
  })

  test('a loss that is not finite ends the run and names the epoch', async () => {
    const label = train.columns.label!.slice() as Float32Array
    label[3] = Number.NaN
    const broken = { ...train, columns: { ...train.columns, label } }
    const fit = engine.fit(spec, { train: broken, validation }, options)
    await expect(fit).rejects.toMatchObject({
      code: 'training_diverged',
      message: 'training gave NaN at epoch 1; try a lower learning rate',
    })
  })

  test('says which backend ran', async () => {
    const result = await engine.fit(spec, { train, validation }, { ...options, epochs: 1 })
    expect(result.backend).toMatch(name === 'onnx' ? /^onnxruntime-node 1\.\d+.*1 thread/ : /^tfjs/)
  })
})

test('an unknown engine is refused with the names there are', async () => {
  expect(() => createEngine('torch')).toThrow('expected one of onnx, tfjs for --engine, got torch')
})

function withRows(rows: FitRows, count: number): FitRows {
  return {
    rows: count,
    columns: Object.fromEntries(
      Object.entries(rows.columns).map(([name, column]) => [name, column.slice(0, count)]),
    ),
    lookups: Object.fromEntries(
      Object.entries(rows.lookups).map(([name, { table, index }]) => [
        name,
        { table, index: index.slice(0, count) },
      ]),
    ),
    weight: rows.weight.slice(0, count),
  }
}

function noL2<T extends object>(parameters: Readonly<Record<string, T>>) {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, parameter]) => [name, { ...parameter, l2: 0 }]),
  ) as Record<string, T & { l2: number }>
}
