import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { FitOptions } from '../../../training/engine/engine.ts'
import { createOnnxEngine } from '../../../training/engine/onnx-engine.ts'
import { createTfjsEngine } from '../../../training/engine/tfjs-engine.ts'
import { preferenceProblem } from './problems.ts'

const folder = mkdtempSync(join(tmpdir(), 'weir-checkpoint-'))
afterAll(() => rmSync(folder, { recursive: true }))

const { spec, train, validation } = preferenceProblem()
const data = { train, validation }
const options: FitOptions = {
  epochs: 5,
  batchSize: 16,
  learningRate: 0.02,
  patience: 5,
  seed: 5,
  threads: 1,
}
const engines = { onnx: createOnnxEngine(), tfjs: await createTfjsEngine() }

/** A run that is stopped after an epoch as a kill would stop it: nothing is tidied up. */
function killedAfter(epochs: number, checkpoint: string): FitOptions {
  return {
    ...options,
    checkpoint,
    onProgress: ({ done }) => {
      if (done === epochs) throw new Error('killed')
    },
  }
}

describe.each(Object.entries(engines))('%s', (name, engine) => {
  const checkpoint = join(folder, name, 'run.ckpt')

  test('a killed run goes on to the same bytes as one that was never stopped', async () => {
    const whole = await engine.fit(spec, data, options)
    await expect(engine.fit(spec, data, killedAfter(2, checkpoint))).rejects.toThrow('killed')
    expect(existsSync(checkpoint)).toBe(true)
    const trained: number[] = []
    const onProgress = ({ done }: { done: number }) => void trained.push(done)
    const resumed = await engine.fit(spec, data, { ...options, checkpoint, onProgress })
    expect(trained).toEqual([3, 4, 5])
    expect(resumed.parameters).toEqual(whole.parameters)
    expect(resumed.epochs.map((epoch) => epoch.trainLoss)).toEqual(
      whole.epochs.map((epoch) => epoch.trainLoss),
    )
    expect(existsSync(checkpoint)).toBe(false)
  })

  test('a checkpoint of another run or half a checkpoint is not resumed', async () => {
    const other = { ...options, epochs: 2 }
    const whole = await engine.fit(spec, data, { ...other, seed: 9 })
    await expect(engine.fit(spec, data, killedAfter(1, checkpoint))).rejects.toThrow('killed')
    const saved = readFileSync(checkpoint)
    const elsewhere = await engine.fit(spec, data, { ...other, seed: 9, checkpoint })
    expect(elsewhere.parameters).toEqual(whole.parameters)
    writeFileSync(checkpoint, saved)
    truncateSync(checkpoint, saved.length - 10)
    const afresh = await engine.fit(spec, data, { ...other, checkpoint })
    expect(afresh.epochs).toHaveLength(2)
    expect(afresh.parameters).toEqual((await engine.fit(spec, data, other)).parameters)
  })
})

test('consumed tables are moved, not copied, and the result is the same', async () => {
  const mine = preferenceProblem()
  const once = { ...options, epochs: 1 }
  const kept = await engines.onnx.fit(spec, data, once)
  const moved = await engines.onnx.fit(mine.spec, mine, { ...once, consumeTables: true })
  expect(moved.parameters).toEqual(kept.parameters)
  expect(mine.train.lookups.prompt!.table.values.length).toBe(0)
  expect(train.lookups.prompt!.table.values.length).toBeGreaterThan(0)
})
