import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../../core/random.ts'
import type { DenseEmbeddings } from '../../../../models/encoders/embeddings.ts'
import { CLIP, densityRatio } from '../../../../training/calibrate/shift/density-ratio.ts'
import { measureDrift } from '../../../../training/calibrate/shift/drift.ts'
import { sourceOdds } from '../../../../training/calibrate/shift/source-classifier.ts'
import {
  classifierTest,
  kolmogorovSmirnov,
  quantiles,
  rankSumAuc,
  stabilityIndex,
} from '../../../../training/calibrate/shift/two-sample.ts'

/** Unit normals in three dimensions, the first moved by `shift`. */
function cloud(rows: number, seed: number, shift = 0): DenseEmbeddings {
  const random = createRandom(seed)
  const values = Float32Array.from(
    { length: rows * 3 },
    (_, i) => random.normal() + (i % 3 === 0 ? shift : 0),
  )
  return { kind: 'dense', rows, dimension: 3, values }
}

const uniform = (rows: number, seed: number): Float64Array => {
  const random = createRandom(seed)
  return Float64Array.from({ length: rows }, () => random.next())
}

describe('the density ratio', () => {
  it('is near the true one, averages 1, and re-weights a mean to the target', async () => {
    const calibration = cloud(4000, 1)
    const { weight, effective } = await densityRatio(calibration, cloud(4000, 2, 0.7), 1)
    const at = (i: number): number => calibration.values[3 * i]!
    let mean = 0
    let moved = 0
    let error = 0
    weight.forEach((w, i) => {
      mean += w / 4000
      moved += (w * at(i)) / 4000
      // N(.7, 1) over N(0, 1)
      error += Math.abs(w - Math.min(CLIP, Math.exp(0.7 * at(i) - 0.245))) / 4000
    })
    expect(mean).toBeCloseTo(1, 10)
    expect(moved).toBeCloseTo(0.7, 1)
    expect(error).toBeLessThan(0.1)
    // sum w^2 / n = exp(.49) for the true ratio
    expect(effective / 4000).toBeCloseTo(Math.exp(-0.49), 1)
  })

  it('leaves rows as they are where nothing has shifted', async () => {
    const { effective } = await densityRatio(cloud(1000, 3), cloud(200, 4), 1)
    expect(effective).toBeGreaterThan(900)
  })

  it('refuses a target that the calibration rows do not cover', async () => {
    await expect(densityRatio(cloud(1000, 5), cloud(300, 6, 6), 1)).rejects.toMatchObject({
      code: 'shift_too_large',
    })
  })
})

describe('two-sample tests', () => {
  // scipy.stats.ks_2samp([.1, .2, .3, .4, .55], [.25, .45, .5, .6, .7, .9]).statistic
  it('Kolmogorov-Smirnov distance is SciPy’s', () => {
    const a = Float64Array.of(0.1, 0.2, 0.3, 0.4, 0.55)
    const b = Float64Array.of(0.25, 0.45, 0.5, 0.6, 0.7, 0.9)
    expect(kolmogorovSmirnov(a, b).statistic).toBeCloseTo(0.6333333333333333, 12)
  })

  it('the rank-sum AUC counts ties half', () => {
    expect(rankSumAuc(Float64Array.of(1, 2, 2), Float64Array.of(2, 3))).toBeCloseTo(5 / 6, 12)
  })

  it('the stability index is small for the same distribution and large for another', () => {
    expect(stabilityIndex(uniform(2000, 1), uniform(2000, 2))).toBeLessThan(0.02)
    const squared = uniform(2000, 3).map((x) => x * x)
    expect(stabilityIndex(uniform(2000, 4), squared)).toBeGreaterThan(0.25)
  })

  it('both p-values are below 5% about 5% of the time where nothing has shifted', async () => {
    const runs = 60
    const low = { ks: 0, classifier: 0 }
    for (let run = 0; run < runs; run++) {
      if (kolmogorovSmirnov(uniform(300, 2 * run), uniform(200, 2 * run + 1)).p < 0.05) low.ks++
      const odds = await sourceOdds(cloud(120, 900 + run), cloud(100, 500 + run), run)
      if (classifierTest(odds).p < 0.05) low.classifier++
    }
    // 5% and three standard errors
    expect(low.ks / runs).toBeLessThan(0.14)
    expect(low.classifier / runs).toBeLessThan(0.14)
  })

  it('the classifier sees a shift that win rates need not show', async () => {
    const { statistic, p } = classifierTest(await sourceOdds(cloud(400, 1), cloud(400, 2, 0.8), 1))
    // AUC of N(.8, 1) against N(0, 1) is Phi(.8 / sqrt 2) = .714
    expect(statistic).toBeCloseTo(0.714, 1)
    expect(p).toBeLessThan(1e-6)
  })
})

describe('drift', () => {
  const calibration = uniform(1000, 7)
  const reference = {
    quantiles: quantiles(calibration, 101),
    rows: 1000,
    threshold: 0.7,
    share: 0.3,
  }

  it('calls the same mix stable', async () => {
    const report = await measureDrift(reference, { winRate: uniform(500, 8) }, 1)
    expect(report.verdict).toBe('stable')
    expect(report.share.now.low).toBeLessThan(0.3)
    expect(report.share.now.high).toBeGreaterThan(0.3)
  })

  it('calls a new mix shifted, and finds the threshold that gives the share again', async () => {
    const winRate = uniform(500, 9).map((x) => Math.sqrt(x))
    const report = await measureDrift(reference, { winRate }, 1)
    expect(report.verdict).toBe('shifted')
    expect(report.share.now.value).toBeGreaterThan(0.4)
    expect(report.recalibrated.share.value).toBeCloseTo(0.3, 2)
  })

  it('sees a shift of prompts in their embeddings alone', async () => {
    const report = await measureDrift(
      { ...reference, embeddings: cloud(400, 1) },
      { winRate: uniform(400, 10), embeddings: cloud(400, 2, 1.2) },
      1,
    )
    expect(report.verdict).toBe('shifted')
    expect(report.psi).toBeLessThan(0.1)
  })
})
