import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { keepBandit, lastBandit, revertBandit } from '../../../models/online/bandit-file.ts'
import { BudgetPacer } from '../../../models/online/budget-pacer.ts'
import {
  LinearBandit,
  prefersStrongUcb,
  thompsonProbability,
} from '../../../models/online/linear-bandit.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-bandit-'))
})
afterAll(() => rm(folder, { recursive: true }))

test('a correction is learnt, forgotten with time, and never takes a step longer than allowed', () => {
  const bandit = new LinearBandit({ actions: 2, dimension: 3, maxStep: 0.05, forgetting: 0.995 })
  const random = createRandom(1)
  let before = bandit.state.coefficients
  for (let i = 0; i < 3000; i++) {
    const x = [1, random.normal(), random.normal()]
    bandit.observe(1, x, 0.2 - 0.1 * x[1]! + 0.3 * random.normal())
    const after = bandit.state.coefficients
    let squares = 0
    for (let j = 0; j < 6; j++) squares += (after[j]! - before[j]!) ** 2
    expect(Math.sqrt(squares)).toBeLessThanOrEqual(0.05 + 1e-12)
    before = after
  }
  const { mean, deviation } = bandit.predict(1, [1, 1, 0])
  expect(Math.abs(mean - 0.1)).toBeLessThan(0.06)
  // never tried: no correction, and less sure
  expect(bandit.predict(0, [1, 1, 0]).mean).toBe(0)
  expect(bandit.predict(0, [1, 1, 0]).deviation).toBeGreaterThan(deviation)
  for (let i = 0; i < 2000; i++) bandit.observe(0, [1, 0, 0], 0)
  expect(Math.abs(bandit.predict(1, [1, 1, 0]).mean)).toBeLessThan(0.01)
})

test('the regression is the normal equations, solved', () => {
  const bandit = new LinearBandit({
    actions: 1,
    dimension: 2,
    ridge: 1,
    forgetting: 1,
    maxStep: 99,
  })
  for (const [x, y] of [
    [[1, 0], 1],
    [[1, 1], 0],
    [[0, 2], 0.5],
  ] as const) {
    bandit.observe(0, x, y)
  }
  bandit.refresh()
  // (X'X + I) = [[3, 1], [1, 6]], X'y = [1, 1]
  const { mean, deviation } = bandit.predict(0, [1, 0])
  expect(mean).toBeCloseTo(5 / 17, 12)
  expect(deviation).toBeCloseTo(0.5 * Math.sqrt(6 / 17), 12)
})

test("Thompson sampling's probability is that of a draw, and stays off 0 and 1", () => {
  const strong = { mean: 0.8, deviation: 0.1 }
  const weak = { mean: 0.7, deviation: 0.05 }
  const random = createRandom(2)
  let wins = 0
  for (let i = 0; i < 40_000; i++) {
    if (0.8 + 0.1 * random.normal() - 0.05 >= 0.7 + 0.05 * random.normal()) wins++
  }
  expect(thompsonProbability(strong, weak, 0.05)).toBeCloseTo(wins / 40_000, 2)
  expect(thompsonProbability(strong, weak, 5)).toBe(0.01)
  expect(prefersStrongUcb(strong, weak, 0.14)).toBe(true)
  expect(prefersStrongUcb(strong, weak, 0.16)).toBe(false)
})

test('a state is kept whole, put back, and taken back', async () => {
  const bandit = new LinearBandit({ actions: 2, dimension: 3 })
  await keepBandit(folder, bandit.state)
  for (let i = 0; i < 64; i++) bandit.observe(1, [1, 0, 1], 0.5)
  await keepBandit(folder, bandit.state)
  const again = new LinearBandit({ actions: 2, dimension: 3 })
  again.restore((await lastBandit(folder))!)
  expect(again.predict(1, [1, 0, 1])).toEqual(bandit.predict(1, [1, 0, 1]))
  await revertBandit(folder)
  again.restore((await lastBandit(folder))!)
  expect(again.predict(1, [1, 0, 1]).mean).toBe(0)
  expect((await readdir(folder)).length).toBe(1)
  await writeFile(join(folder, '00000009.json'), '{"actions": 2')
  await expect(lastBandit(folder)).rejects.toMatchObject({ code: 'state_invalid' })
})

test('the pacer spends its budget and at most half a percent more over 10,000 requests', () => {
  for (const share of [0.1, 0.3, 0.7]) {
    const random = createRandom(3)
    const [cheap, dear] = [0.0002, 0.004]
    const perRequest = cheap + share * (dear - cheap)
    const pacer = new BudgetPacer({ perRequest })
    let spent = 0
    let gained = 0
    const gains: number[] = []
    for (let i = 0; i < 10_000; i++) {
      // traffic that becomes harder half way
      const gain = (i < 5000 ? 0.1 : 0.2) + 0.1 * random.normal()
      gains.push(gain)
      pacer.begin()
      const cost = dear * (0.5 + random.next())
      const strong = pacer.buys(gain, cost - cheap, cost)
      const dollars = strong ? cost : cheap
      pacer.spend(dollars)
      spent += dollars
      if (strong) gained += gain
    }
    const total = perRequest * 10_000
    expect(spent / total).toBeLessThan(1.005)
    expect(spent / total).toBeGreaterThan(0.97)
    // better than buying at random
    const mean = gains.reduce((sum, g) => sum + g, 0)
    expect(gained).toBeGreaterThan(1.15 * share * mean)
  }
})
