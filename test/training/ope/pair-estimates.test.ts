import { describe, expect, test } from 'vitest'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import { pairLabels } from '../../../data/pair.ts'
import { withJudgedEstimates } from '../../../training/ope/judged-estimates.ts'
import { ratedOnly, rowsToAsk, withPairEstimates } from '../../../training/ope/pair-estimates.ts'
import {
  effectiveAnswers,
  overturningGamma,
  singleEvidence,
} from '../../../training/ope/sensitivity.ts'
import { singleLog, TRUE_GAP } from '../single-log.ts'

const PAIR = { strong: 'big', weak: 'small' }
const estimated = (log: Dataset) => withPairEstimates(log, PAIR, { seed: 1 })

const meanOf = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, x) => sum + x, 0) / values.length

function gapOf(log: Dataset): { value: number; error: number } {
  const { strong, weak } = pairLabels(log, PAIR.strong, PAIR.weak)
  const gain = Float64Array.from(strong!, (s, i) => s - weak![i]!)
  const value = meanOf(gain)
  return { value, error: Math.sqrt(meanOf(gain.map((g) => (g - value) ** 2)) / gain.length) }
}

/** Difference of the plain means of each model's answers. */
function naiveGap({ outcomes, models }: Dataset): number {
  const mean = (model: string): number =>
    meanOf(
      outcomes!.scores.filter(
        (score, at) => at % models.length === models.indexOf(model) && !Number.isNaN(score),
      ),
    )
  return mean('big') - mean('small')
}

describe('estimates from prompts that one model answered', () => {
  test('recover the gap where hard prompts went to the strong model, with an error that is true to itself', async () => {
    const errors: number[] = []
    for (let seed = 1; seed <= 3; seed++) {
      const log = await singleLog({ rows: 1000, seed, asked: (hard) => (hard ? 0.85 : 0.15) })
      const done = await estimated(log)
      const { value, error } = gapOf(done)
      errors.push((value - TRUE_GAP) / error)
      // the weak model looks good, because it was asked the easy ones
      expect(Math.abs(naiveGap(log) - TRUE_GAP)).toBeGreaterThan(3 * error)
      expect(done.estimates!.summary.propensity_auc).toBeGreaterThan(0.8)
      expect(done.estimates!.summary.propensities).toBe('estimated')
    }
    expect(Math.max(...errors.map(Math.abs))).toBeLessThan(3.3)
    expect(Math.abs(meanOf(errors))).toBeLessThan(1.8)
  })

  test('are of all answers where few were rated, and rather the hard ones of one model', async () => {
    const errors: number[] = []
    for (const seed of [2, 3]) {
      const log = await singleLog({
        rows: 5000,
        seed,
        asked: () => 0.5,
        rated: (hard, strong) => (hard ? 0.3 : strong ? 0.1 : 0.05),
      })
      const done = await estimated(log)
      const { value, error } = gapOf(done)
      errors.push((value - TRUE_GAP) / error)
      // hard prompts are four times as many among the rated ones
      expect(naiveGap(log) - TRUE_GAP).toBeGreaterThan(0.12)
      const { response, used, effective } = done.estimates!.summary
      expect(response!.rated + response!.unrated).toBe(5000)
      expect(response!.auc).toBeGreaterThan(0.65)
      expect(response!.least).toBeLessThan(0.09)
      expect(used).toBeGreaterThan(4500)
      expect(effective.weak).toBeLessThan(response!.rated / 2)
      // what is learned from are the rated prompts, with estimates among them
      const learned = ratedOnly(done)
      const inSplits = learned.split.filter((of) => of < 4).length
      expect(inSplits).toBe(response!.rated)
      const spread = (set: Dataset): number =>
        Math.max(...set.estimates!.scores.filter((score) => !Number.isNaN(score)))
      expect(spread(learned)).toBeLessThan(spread(done) / 2)
      // a confounder of who is rated is looked for as well
      const { rows } = singleEvidence(done, Int32Array.from(done.prompts.keys()), 'big')!
      expect(effectiveAnswers(rows).weak).toBeCloseTo(effective.weak, 3)
      const gamma = overturningGamma(rows, new Float64Array(5000), () => 1)!
      expect(gamma).toBeGreaterThan(1.1)
    }
    expect(Math.max(...errors.map(Math.abs))).toBeLessThan(2.6)
  })

  test('stay as they are on judged prompts of which few answers weigh most', async () => {
    const rows = 1350
    const asked = (hard: boolean): number => (hard ? 0.8 : 0.2)
    const log = await estimated(await singleLog({ rows, seed: 1, asked }))
    const winRate = Float64Array.from(log.prompts, (prompt, i) =>
      /word0\b/.test(prompt) ? 0.6 + (i % 7) / 20 : 0.4 - (i % 7) / 20,
    )
    const judgedOn = (count: number): Promise<Dataset> => {
      const prompts = Int32Array.from({ length: count }, (_, i) => i)
      return withJudgedEstimates(log, { prompts, winRates: [winRate.subarray(0, count)] }, 1)
    }
    // some 110 answers of each model, worth fewer than 100
    expect(await judgedOn(220)).toBe(log)
    expect((await judgedOn(rows)).estimates!.summary.method).toMatch(/fitted again/)
  })

  test('name the part of the log that nobody has rated yet', async () => {
    const log = await singleLog({
      rows: 1500,
      seed: 4,
      asked: () => 0.5,
      rated: (_hard, _strong, row) => (row < 1200 ? 0.5 : 0),
    })
    const { summary } = (await estimated(log)).estimates!
    expect(summary.regions.join()).toMatch(/the last 3\d\d prompts of the log were never rated/)
  })

  test('use logged propensities as they are', async () => {
    const log = await singleLog({
      rows: 1500,
      seed: 11,
      asked: (hard) => (hard ? 0.9 : 0.3),
      logged: true,
    })
    const { estimates } = await estimated(log)
    expect(estimates!.summary.propensities).toBe('logged')
    expect(estimates!.summary.least_propensity).toBeCloseTo(0.1, 6)
    const levels = new Set(Array.from(estimates!.propensity, (e) => e.toFixed(4)))
    expect(levels).toEqual(new Set(['0.9000', '0.3000']))
    const { value, error } = gapOf({ ...log, estimates: estimates! })
    expect(Math.abs(value - TRUE_GAP)).toBeLessThan(3.3 * error)
  })

  test('leave prompts that both models answered as they are, and count every kind', async () => {
    const log = await singleLog({ rows: 800, seed: 2, asked: () => 0.5, paired: 0.4 })
    const done = await estimated(log)
    const labels = pairLabels(done, 'big', 'small')
    const plain = pairLabels(log, 'big', 'small')
    const { paired, strong_only, weak_only, used } = done.estimates!.summary
    expect(paired).toBe(plain.prompt.length)
    expect(labels.prompt.length).toBe(800)
    expect(used).toBe(strong_only + weak_only)
    plain.prompt.forEach((prompt, row) => {
      expect(labels.label[prompt]).toBe(plain.label[row])
      expect(labels.estimated![prompt]).toBe(0)
    })
    // the same pair the other way round
    const turned = pairLabels(done, 'small', 'big')
    turned.label.forEach((label, row) => {
      expect(label).toBeCloseTo(1 - labels.label[row]!, 5)
    })
  })

  test('are not made for a log in which both models answered', async () => {
    const log = await singleLog({ rows: 300, seed: 3, asked: () => 0.5, paired: 1 })
    expect(await estimated(log)).toBe(log)
  })

  test('exclude a category and lengths that one model never answered, and say so in words', async () => {
    const log = await singleLog({
      rows: 1600,
      seed: 4,
      asked: (_, row) => (row % 4 === 0 ? 1 : 0.5),
      more: (row) => ({ category: row % 4 === 0 ? 'contracts' : `mixed ${row % 3}` }),
    })
    const { summary, scores } = (await estimated(log)).estimates!
    expect(summary.regions).toContainEqual(
      'prompts of category contracts were never answered by small (400 prompts)',
    )
    expect(summary.excluded).toBe(400)
    expect(scores[0]).toBeNaN()
    expect(scores[2]).not.toBeNaN()
  })

  test('are refused with what to do where the models never meet', async () => {
    const apart = await singleLog({ rows: 900, seed: 5, asked: (hard) => (hard ? 1 : 0) })
    await expect(estimated(apart)).rejects.toMatchObject({
      code: 'overlap_missing',
      message: expect.stringMatching(/--explore.*ask both about [\d,]+ prompts/s),
    })
    const one = await singleLog({ rows: 300, seed: 6, asked: () => 1 })
    await expect(estimated(one)).rejects.toMatchObject({ code: 'model_unknown' })
    const certain = await singleLog({
      rows: 400,
      seed: 7,
      asked: (_, row) => (row < 200 ? 1 : 0),
      logged: true,
    })
    await expect(estimated(certain)).rejects.toMatchObject({ code: 'overlap_missing' })
  })

  test('are left out, not refused, where enough prompts were answered by both', async () => {
    const log = await singleLog({
      rows: 900,
      seed: 8,
      asked: (hard) => (hard ? 1 : 0),
      paired: 0.3,
    })
    expect(await estimated(log)).toBe(log)
    expect(rowsToAsk(log, 'big', 'small')).toBeGreaterThanOrEqual(200)
  })
})

describe('sensitivity', () => {
  test('grows with the effect, and says nothing where there is none', async () => {
    const log = await estimated(await singleLog({ rows: 1200, seed: 9, asked: () => 0.5 }))
    const { prompt, strong, weak } = pairLabels(log, 'big', 'small')
    const { rows } = singleEvidence(log, prompt, 'big')!
    const gain = Float64Array.from(strong!, (s, i) => s - weak![i]!)
    const gap = overturningGamma(rows, gain, () => 1)!
    expect(gap).toBeGreaterThan(1.5)
    // twice the gain minus a constant shift is weaker evidence than the gain itself
    const noise = overturningGamma(rows, gain, (i) => (i % 2 === 0 ? 1 : -1))
    expect(noise).toBeNull()
  })

  test('covers a hidden cause of the stated strength', async () => {
    const { createRandom } = await import('../../../core/random.ts')
    // the weak model is asked more often where it is about to be right: its odds change 3-fold
    const random = createRandom(10)
    const n = 4000
    const rows = {
      asked: new Uint8Array(n),
      score: new Float64Array(n),
      observed: new Float64Array(2 * n).fill(0.5),
      predicted: new Float64Array(2 * n),
    }
    const gain = new Float64Array(n)
    for (let i = 0; i < n; i++) {
      const [s, w] = [Number(random.next() < 0.7), Number(random.next() < 0.7)]
      // odds of the strong model: sqrt(3) where the weak one would fail, 1 / sqrt(3) where it would not
      const e = w === 1 ? 1 / (1 + Math.sqrt(3)) : Math.sqrt(3) / (1 + Math.sqrt(3))
      rows.asked[i] = random.next() < e ? 1 : 0
      rows.score[i] = rows.asked[i] === 1 ? s : w
    }
    const mean = (model: number): number =>
      meanOf(rows.score.filter((_, i) => rows.asked[i] === model))
    rows.predicted.forEach((_, k) => {
      rows.predicted[k] = mean(k % 2 === 0 ? 1 : 0)
    })
    // truth: no difference at all; the estimate says that the weak model is clearly better
    const gamma = overturningGamma(rows, gain, () => -1)!
    expect(gamma).toBeGreaterThan(1.2)
    expect(gamma).toBeLessThan(3)
  })
})
