import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { WeirError } from '../../../core/errors.ts'
import { createRandom, type Random } from '../../../core/random.ts'
import { type JudgedPair, readJudged, writeJudged } from '../../../data/dataset/judged.ts'
import { judgedRows } from '../../../training/calibrate/log-rows.ts'
import { calibrateThreshold } from '../../../training/calibrate/threshold.ts'

const LIMIT = 0.1
/** Mean loss beside always strong at a threshold on the win rate, which is uniform: people prefer strong by .3 + .5 q. */
const lossAt = (threshold: number): number => 0.5 * threshold ** 2 - 0.4 * threshold

interface World {
  readonly pair: JudgedPair
  readonly winRate: Float64Array
}

/** Prompts of which a share is labelled by people, and a judge that is wrong on three in ten, always for the weak model. */
function world(random: Random, n: number, labelled: number): World {
  const winRate = Float64Array.from({ length: n }, () => random.next())
  const truth = Array.from(winRate, (q) => Number(random.next() < 0.3 + 0.5 * q))
  return {
    winRate,
    pair: {
      a: 'strong',
      b: 'weak',
      prompt: Array.from(truth.keys()),
      judged: truth.map((label) => (random.next() < 0.3 ? 0 : label)),
      human: truth.map((label) => (random.next() < labelled ? label : null)),
      weight: truth.map(() => 1),
    },
  }
}

/** The threshold for a loss of at most LIMIT at 90%; -1 if the rows allow none. */
function threshold(rows: Parameters<typeof calibrateThreshold>[0]['rows'], seed: number): number {
  try {
    const reference = Float64Array.from({ length: 101 }, (_, i) => i / 100)
    const target = { kind: 'max-loss', loss: LIMIT, confidence: 0.9 } as const
    return calibrateThreshold({ rows, target, seed, reference }).threshold
  } catch (error) {
    if (error instanceof WeirError && error.code === 'calibration_data_short') return -1
    throw error
  }
}

test('a promise from a corrected judge breaks as rarely as it says; one from the judge alone nearly always', () => {
  const random = createRandom(7)
  const repeats = 80
  const broken = { corrected: 0, alone: 0 }
  let useful = 0
  for (let seed = 0; seed < repeats; seed++) {
    const { pair, winRate } = world(random, 900, 0.4)
    // the last third are other prompts, on which the line of the correction is fitted
    const prompts = Int32Array.from({ length: 600 }, (_, i) => i)
    const own = winRate.subarray(0, 600)
    const rows = judgedRows(pair, prompts, own, undefined, { sequential: true })!
    const corrected = threshold(rows, seed)
    const gain = Float64Array.from(prompts, (i) => 2 * pair.judged[i]! - 1)
    const alone = threshold({ winRate: own, gain }, seed)
    if (corrected > 0.1) useful++
    if (corrected >= 0 && lossAt(corrected) > LIMIT) broken.corrected++
    if (alone >= 0 && lossAt(alone) > LIMIT) broken.alone++
  }
  // 10% and two standard errors of 80 repeats
  expect(broken.corrected / repeats).toBeLessThanOrEqual(0.167)
  expect(broken.alone / repeats).toBeGreaterThan(0.9)
  expect(useful / repeats).toBeGreaterThan(0.9)
})

test('the corrected gains have the mean of people’s labels, within the limits that they state', () => {
  const { pair, winRate } = world(createRandom(3), 3000, 0.2)
  const prompts = Int32Array.from({ length: 2000 }, (_, i) => i)
  const { gain, offPolicy } = judgedRows(pair, prompts, winRate, undefined, { sequential: true })!
  const mean = gain!.reduce((sum, value) => sum + value, 0) / gain!.length
  expect(Math.abs(mean - 0.1)).toBeLessThan(0.12)
  expect(offPolicy).toMatchObject({ estimator: 'prediction-powered' })
  expect(offPolicy!.labels! / 2000).toBeCloseTo(offPolicy!.least_propensity, 6)
  expect(gain!.every((one) => one >= offPolicy!.gain_low && one <= offPolicy!.gain_high)).toBe(true)
})

test('too few labels on the rows promise nothing, and leave other targets to the labels as they are', () => {
  const { pair, winRate } = world(createRandom(3), 100, 0.05)
  const prompts = Int32Array.from(pair.prompt)
  expect(() => judgedRows(pair, prompts, winRate, undefined, { sequential: true })).toThrow(
    /at least 10 labels of people on the 100 prompts that it is made from, which have \d/,
  )
  expect(judgedRows(pair, prompts, winRate, undefined, { sequential: false })).toBeUndefined()
  expect(judgedRows(undefined, prompts, winRate, undefined, { sequential: true })).toBeUndefined()
})

test('rows drawn with different chances keep their weights', () => {
  const { pair, winRate } = world(createRandom(3), 100, 0.5)
  const prompts = Int32Array.from(pair.prompt)
  const drawn = { ...pair, weight: pair.prompt.map((i) => (i < 50 ? 1 : 3)) }
  const rows = judgedRows(drawn, prompts, winRate, undefined, { sequential: true })!
  expect([rows.weight![0], rows.weight![99]]).toEqual([0.5, 1.5])
})

test('a dataset’s judged.json is read back, and refused where it does not fit', async () => {
  const root = await mkdtemp(join(tmpdir(), 'weir-judged-'))
  try {
    const { pair } = world(createRandom(3), 10, 0.5)
    expect(await readJudged(root, 10)).toBeUndefined()
    await writeJudged(root, [pair])
    expect(await readJudged(root, 10)).toEqual([pair])
    await expect(readJudged(root, 9)).rejects.toThrow(/judged.json: prompt 9 of 9 does not exist/)
    const write = (text: string) => writeFile(join(root, 'judged.json'), text)
    await write('{"format":1,"pairs":[{"a":"x"')
    await expect(readJudged(root, 10)).rejects.toThrow(/judged.json: is not JSON/)
    await write(JSON.stringify({ format: 1, pairs: [{ ...pair, judged: [2] }] }))
    await expect(readJudged(root, 10)).rejects.toThrow(/judged.json: \/pairs\/0\/judged/)
    await write(JSON.stringify({ format: 1, pairs: [{ ...pair, weight: [1] }] }))
    await expect(readJudged(root, 10)).rejects.toThrow(/strong and weak differ in length/)
  } finally {
    await rm(root, { recursive: true })
  }
})
