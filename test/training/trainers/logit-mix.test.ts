import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { sigmoid } from '../../../models/families/linear-head.ts'
import { mixLogits } from '../../../training/trainers/ensemble/ensemble.ts'

/** Labels drawn from `truth`; members see it with noise of their own. */
function world(rows: number, noise: readonly number[], seed = 3) {
  const random = createRandom(seed)
  const truth = Float64Array.from({ length: rows }, () => 1.5 * random.normal())
  const labels = truth.map((logit) => (random.next() < sigmoid(logit) ? 1 : 0))
  const logits = noise.map((sd) => truth.map((logit) => logit + sd * random.normal()))
  return { logits, labels }
}

/** Minus log posterior, written out a second time. */
function loss(weights: readonly number[], { logits, labels }: ReturnType<typeof world>): number {
  let total = 0
  for (const weight of weights) total += (weight - 1 / weights.length) ** 2 / (2 * 0.3 ** 2)
  for (const [i, y] of labels.entries()) {
    const logit = weights.reduce((sum, weight, k) => sum + weight * logits[k]![i]!, 0)
    total -= y * Math.log(sigmoid(logit)) + (1 - y) * Math.log(1 - sigmoid(logit))
  }
  return total
}

describe('the mix of logits', () => {
  it('is where the posterior is highest: no step in any direction is better', () => {
    const given = world(200, [0.3, 0.6, 1])
    const best = mixLogits(given.logits, given.labels)
    for (let k = 0; k < 3; k++) {
      for (const step of [-0.01, 0.01]) {
        const moved = best.map((weight, j) => weight + (j === k ? step : 0))
        expect(loss(moved, given)).toBeGreaterThan(loss(best, given))
      }
    }
  })

  it('counts the member that knows more for more, given the rows to see it', () => {
    const { logits, labels } = world(5_000, [0.1, 2])
    const [exact = 0, noisy = 0] = mixLogits(logits, labels)
    expect(exact).toBeGreaterThan(0.8)
    expect(noisy).toBeLessThan(0.15)
  })

  it('shares alike where there are next to no rows', () => {
    const { logits, labels } = world(2, [0.1, 2, 2])
    for (const weight of mixLogits(logits, labels))
      expect(Math.abs(weight - 1 / 3)).toBeLessThan(0.15)
  })

  it('leaves a member out that is wrong, and fits the others without it', () => {
    const { logits, labels } = world(2_000, [0.1])
    const timid = logits[0]!.map((logit) => logit / 2)
    const wrong = logits[0]!.map((logit) => -2 * logit)
    const [first, second] = mixLogits([timid, wrong], labels)
    expect(second).toBe(0)
    expect(first).toBeGreaterThan(1)
  })
})
