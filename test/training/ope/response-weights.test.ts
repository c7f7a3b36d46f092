import { expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { DecisionRecord } from '../../../records/decision-record.ts'
import { evaluatePolicy } from '../../../training/ope/evaluate-policy.ts'
import { type LoggedOutcomes, thresholdPolicy } from '../../../training/ope/logged.ts'
import { responseWeights } from '../../../training/ope/response-weights.ts'

const N = 3000
const DRAWS = 25

/**
 * A fair coin asks one of two models; with win rate w the weak one is right with probability 1 - .9 w, the strong one with
 * .95 - .5 w. `chance` is the probability that an answer is rated.
 */
function simulated(seed: number, chance: (strong: boolean, winRate: number) => number) {
  const random = createRandom(seed)
  const rated: DecisionRecord[] = []
  const unrated: DecisionRecord[] = []
  const scores: number[] = []
  for (let i = 0; i < N; i++) {
    const winRate = random.next()
    const strong = random.next() < 0.5
    const decision: DecisionRecord = {
      object: 'decision',
      id: `d${i}`,
      time: i,
      router: 'simulated',
      version: '0123456789abcdef',
      model: strong ? 'big' : 'small',
      win_rate: winRate,
      threshold: 0.5,
      reason: 'explored',
      propensity: 0.5,
      prompt_hash: (i * 0x9e3779b1 + seed).toString(16).padStart(16, '0'),
    }
    const score = random.next() < (strong ? 0.95 - winRate / 2 : 1 - 0.9 * winRate) ? 1 : 0
    if (random.next() < chance(strong, winRate)) {
      rated.push(decision)
      scores.push(score)
    } else unrated.push(decision)
  }
  return { rated, unrated, scores }
}

function logOf(rated: readonly DecisionRecord[], scores: readonly number[]): LoggedOutcomes {
  return {
    n: rated.length,
    actions: 2,
    action: Int32Array.from(rated, ({ model }) => (model === 'big' ? 1 : 0)),
    propensity: new Float64Array(2 * rated.length).fill(0.5),
    reward: Float64Array.from(scores),
    features: Float64Array.from(rated, (one) => one.win_rate!),
    featureCount: 1,
  }
}

/** Integrals over win rates: weak under .5 and strong above, and the coin. */
const WORTH = 0.3875 + 0.2875
const GAIN = WORTH - 0.625

async function covered(chance: (strong: boolean, winRate: number) => number) {
  const found = { plain: 0, worth: 0, gain: 0, error: 0, squares: 0, plainSquares: 0 }
  for (let seed = 0; seed < DRAWS; seed++) {
    const { rated, unrated, scores } = simulated(seed, chance)
    const log = logOf(rated, scores)
    const policy = thresholdPolicy(log.features, 0.5)
    const { weight } = (await responseWeights(rated, unrated))!
    const plain = evaluatePolicy(log, policy)
    const mine = evaluatePolicy({ ...log, weight }, policy)
    const holds = ({ low, high }: typeof mine.served, truth: number) =>
      low! <= truth && truth <= high! ? 1 / DRAWS : 0
    found.plain += holds(plain.doubly_robust, WORTH)
    found.worth += holds(mine.doubly_robust, WORTH)
    found.gain += holds(mine.over_served, GAIN)
    found.error += (mine.doubly_robust.value! - WORTH) / DRAWS
    found.squares += (mine.doubly_robust.value! - WORTH) ** 2
    found.plainSquares += (plain.doubly_robust.value! - WORTH) ** 2
  }
  return found
}

// answers of the weak model are rated most where it is worst
const complaints = (strong: boolean, winRate: number) => (strong ? 0.2 : 0.05 + 0.5 * winRate ** 2)

test('ratings that come more often for bad answers of one model are weighed', async () => {
  const found = await covered(complaints)
  expect(found.plain).toBeLessThan(0.8)
  expect(found.worth).toBeGreaterThan(0.88)
  expect(found.gain).toBeGreaterThan(0.88)
  expect(Math.abs(found.error)).toBeLessThan(0.006)
})

test('ratings by chance are hardly changed', async () => {
  const found = await covered(() => 0.2)
  expect(found.worth).toBeGreaterThan(0.88)
  // the error is no larger than without weights
  expect(Math.sqrt(found.squares / found.plainSquares)).toBeLessThan(1.05)
})

test('a log that is rated but for a few is taken as it is', async () => {
  const { rated, unrated } = simulated(1, () => 0.99)
  expect(unrated.length).toBeLessThan(50)
  expect(await responseWeights(rated, unrated)).toBeUndefined()
})
