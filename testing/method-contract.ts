import { describe, expect, it } from 'vitest'
import { WeirError } from '../core/errors.ts'
import type { Method } from '../training/calibrate/method.ts'
import type { CalibrationRows } from '../training/calibrate/rows.ts'
import type { TargetKind, ThresholdTarget } from '../training/calibrate/target.ts'
import { calibrateThreshold } from '../training/calibrate/threshold.ts'
import { simulate } from './simulated-rows.ts'

/** One target of every kind that a method may be asked for, loose enough for 4,000 simulated rows. */
export function targetFor(kind: TargetKind, method: string): ThresholdTarget {
  const sure = method.startsWith('learn-then-test') ? { confidence: 0.9 } : {}
  switch (kind) {
    case 'strong-share':
      return { kind, share: 0.3 }
    case 'quality':
      return { kind, pgr: 0.6, ...sure }
    case 'match':
      return { kind, within: 0.08, ...sure }
    case 'budget':
      return { kind, usd_per_1k: 6, confidence: 0.9 }
    case 'max-loss':
      return { kind, loss: 0.08, confidence: 0.9 }
    case 'max-harm':
      return { kind, harm: 0.12, ...sure }
  }
}

/** What every way to choose a threshold keeps to. */
export function describeMethod(method: Method): void {
  describe(method.name, () => {
    const rows = simulate({ rows: 4000, seed: 11 })
    const reference = simulate({ rows: 1000, seed: 12 }).winRate
    const choose = (target: ThresholdTarget, of: CalibrationRows = rows, seed = 1) =>
      calibrateThreshold({ rows: of, target, method: method.name, reference, seed })

    describe.each(method.targets)('for %s', (kind) => {
      const target = targetFor(kind, method.name)

      it('gives a threshold whose expected figures are those of the rows themselves', () => {
        const { threshold, expected } = choose(target)
        const sent = rows.winRate.filter((score) => score >= threshold).length
        expect(expected.share.value).toBeCloseTo(sent / rows.winRate.length, 12)
        expect(sent).toBeGreaterThan(0)
        expect(sent).toBeLessThan(rows.winRate.length)
        let quality = 0
        rows.gain!.forEach((gain, i) => {
          quality += rows.weak![i]! + (rows.winRate[i]! >= threshold ? gain : 0)
        })
        expect(expected.quality!.value).toBeCloseTo(quality / rows.winRate.length, 12)
        for (const interval of Object.values(expected)) {
          expect(interval.low).toBeLessThanOrEqual(interval.value)
          expect(interval.high).toBeGreaterThanOrEqual(interval.value)
        }
      })

      it('gives the same answer for the same seed', () => {
        expect(choose(target)).toEqual(choose(target))
      })

      it('writes what it promised, by which method and on how many rows', () => {
        const { certificate } = choose(target)
        expect(certificate).toMatchObject({ target, method: method.name, n: 4000, seed: 1 })
        expect(['estimate', 'confidence', 'expectation']).toContain(certificate.promise)
        if (certificate.promise === 'confidence') expect(certificate.bound?.confidence).toBe(0.9)
      })

      it('refuses too few rows and rows that are not numbers', () => {
        const few = simulate({ rows: 20, seed: 1 })
        expect(() => choose(target, few)).toThrow(WeirError)
        const broken = simulate({ rows: 100, seed: 1 })
        broken.winRate[7] = Number.NaN
        expect(() => choose(target, broken)).toThrow(/got NaN in row 7/)
      })
    })
  })
}
