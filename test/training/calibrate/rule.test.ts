import { describe, expect, it } from 'vitest'
import { numberOf } from '../../../models/bundle/choice-rule.ts'
import { calibrateRule, type RuleProblem } from '../../../training/calibrate/rule.ts'
import type { RuleTarget } from '../../../training/calibrate/target.ts'
import { choicesAt, policyPath } from '../../../training/evaluate/frontier/policy-path.ts'
import { takeMatrix, takeTable } from '../../../training/evaluate/log/model-table.ts'
import { simulated } from '../evaluate/frontier/simulated.ts'

const M = 4
const ROLES = { strong: M - 1, weak: 0 }
const world = simulated(12_000, M, 11)
const reference = simulated(300, M, 12)

function problem(
  target: RuleTarget,
  rows: readonly number[],
  kind: RuleProblem['kind'] = 'best-value',
): RuleProblem {
  return {
    kind,
    target,
    table: takeTable(world, rows),
    expected: {
      quality: takeMatrix(world.quality, M, rows),
      costs: takeMatrix(world.costs, M, rows),
    },
    roles: ROLES,
    reference,
    seed: 1,
  }
}

const slice = (trial: number, size: number): number[] =>
  Array.from({ length: size }, (_, i) => (trial * size + i) % world.rows)

const whole = policyPath('best-value', world, M)

/** Mean score and dollars of a rule's number over the whole world. */
function truth(value: number): { score: number; usd: number } {
  const choices = choicesAt(whole, value)
  let score = 0
  let usd = 0
  choices.forEach((model, i) => {
    score += world.scores[i * M + model]! / world.rows
    usd += (1000 * world.costs[i * M + model]!) / world.rows
  })
  return { score, usd }
}

const meanOfModel = (k: number): number => {
  let sum = 0
  for (let i = 0; i < world.rows; i++) sum += world.scores[i * M + k]!
  return sum / world.rows
}
const best = meanOfModel(ROLES.strong)
const weakest = meanOfModel(ROLES.weak)

describe('a promise of a rule among many models', () => {
  const broken: Record<string, (at: { score: number; usd: number }) => boolean> = {
    budget: ({ usd }) => usd > 6,
    'best-share': ({ score }) => score < 0.9 * best,
    quality: ({ score }) => (score - weakest) / (best - weakest) < 0.8,
    'max-loss': ({ score }) => best - score > 0.08,
  }
  const targets: RuleTarget[] = [
    { kind: 'budget', usd_per_1k: 6, confidence: 0.9 },
    { kind: 'best-share', share: 0.9, confidence: 0.9 },
    { kind: 'quality', pgr: 0.8, confidence: 0.9 },
    { kind: 'max-loss', loss: 0.08, confidence: 0.9 },
  ]
  for (const target of targets) {
    it(`on ${target.kind} is broken in no more calibrations than it allows, and saves money`, () => {
      const trials = 40
      let misses = 0
      let spent = 0
      for (let trial = 0; trial < trials; trial++) {
        const { rule } = calibrateRule(problem(target, slice(trial, 300)))
        const at = truth(numberOf(rule))
        if (broken[target.kind]!(at)) misses++
        spent += at.usd / trials
      }
      // 4 of 40 expected at the most; 9 would come up less than once in fifty
      expect(misses).toBeLessThan(9)
      expect(spent).toBeLessThan(truth(0).usd)
      expect(spent).toBeGreaterThan(truth(1e9).usd)
    }, 30_000)
  }

  it('holds for the cheapest within a loss as well', () => {
    const target = targets[1]!
    const { rule, certificate, expected } = calibrateRule(
      problem(target, slice(0, 800), 'cheapest-within'),
    )
    expect(rule.kind).toBe('cheapest-within')
    expect(certificate.promise).toBe('confidence')
    expect(expected.best_share!.value).toBeGreaterThan(0.9)
    expect(expected.shares.reduce((a, b) => a + b)).toBeCloseTo(1, 12)
  })
})

describe('a rule without a confidence', () => {
  it('takes the cheapest number that keeps the target on the rows, and promises nothing', () => {
    const rows = slice(0, 2000)
    const target: RuleTarget = { kind: 'best-share', share: 0.95 }
    const { rule, certificate, expected } = calibrateRule(problem(target, rows))
    expect(certificate.promise).toBe('estimate')
    expect(certificate.bound).toBeUndefined()
    expect(expected.best_share!.value).toBeGreaterThanOrEqual(0.95 - 1e-9)
    expect(expected.best_share!.value).toBeLessThan(0.955)
    const { usd_per_1k: usd } = calibrateRule(
      problem({ kind: 'best-share', share: 0.9 }, rows),
    ).expected
    expect(usd.value).toBeLessThan(expected.usd_per_1k.value)
    expect(numberOf(rule)).toBeGreaterThan(0)
  })
})

describe('what cannot be promised', () => {
  it('is refused: a budget below the cheapest model, too few rows, a quality nobody reaches', () => {
    const few = slice(0, 40)
    const asked = (target: RuleTarget, rows: number[]) => () => calibrateRule(problem(target, rows))
    expect(asked({ kind: 'budget', usd_per_1k: 0.1, confidence: 0.9 }, slice(0, 500))).toThrow(
      /a budget of 0.1 dollars/,
    )
    expect(asked({ kind: 'max-loss', loss: 0.001, confidence: 0.99 }, few)).toThrow(
      /not enough data to promise|cannot promise/,
    )
    expect(asked({ kind: 'best-share', share: 0.9 }, slice(0, 20))).toThrow(/at least 30 rows/)
  })
})
