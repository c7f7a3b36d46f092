import { describe, expect, it } from 'vitest'
import { createRandom } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { expectedCost } from '../../models/decision/choice.ts'
import { pricedCandidates } from '../../training/candidates.ts'
import { chooseModels, withModels } from '../../training/choose-models.ts'
import { defaultRule } from '../../training/default-rule.ts'

const MODELS = ['a', 'b', 'c']

/** Prompts of random length; `tokens` and `costs` by prompt length, scores by model alone. */
function dataset(options: {
  tokens?: (characters: number, model: number) => number
  costs?: (model: number) => number
}): Dataset {
  const random = createRandom(3)
  const prompts = Array.from({ length: 400 }, () => 'x'.repeat(20 + random.int(2000)))
  const cells = (of: (prompt: string, k: number) => number): Float32Array =>
    Float32Array.from(prompts.flatMap((prompt) => MODELS.map((_, k) => of(prompt, k))))
  const { tokens, costs } = options
  return {
    path: '',
    models: MODELS,
    prompts,
    hashes: prompts.map((_, i) => String(i)),
    categories: prompts.map(() => undefined),
    split: Uint8Array.from(prompts, (_, i) => (i % 4 === 0 ? 1 : 0)),
    outcomes: {
      scores: cells((_, k) => (random.next() < [0.3, 0.6, 0.9][k]! ? 1 : 0)),
      ...(tokens && { tokens: cells((prompt, k) => tokens(prompt.length, k)) }),
      ...(costs && { costs: cells((_, k) => costs(k)) }),
    },
    manifest: { counts: {}, sources: [], split: {} },
  } as unknown as Dataset
}

const priceOf = (output: number) => ({ input: 0, output })
const prices = new Map(MODELS.map((model, k) => [model, priceOf(k + 1)]))

describe('the candidates of a router among many models', () => {
  it('learn how answers grow with the prompt where they do, and a mean where they do not', () => {
    const random = createRandom(4)
    const noise = (): number => Math.exp(0.3 * random.normal())
    const log = dataset({
      tokens: (characters, k) =>
        k === 0 ? 5 * Math.sqrt(characters + 1) * noise() : 100 * noise(),
    })
    const [grows, flat] = pricedCandidates(log, { strong: 'c', weak: 'a', prices })
    expect(grows!.output_length!.slope).toBeGreaterThan(0.45)
    expect(grows!.output_length!.slope).toBeLessThan(0.55)
    // exp(0.3^2 / 2) is the mean of the noise
    const truth = (5 * Math.sqrt(901) * Math.exp(0.045)) / 1e6
    expect(expectedCost(grows!, 900)! / truth).toBeGreaterThan(0.93)
    expect(expectedCost(grows!, 900)! / truth).toBeLessThan(1.07)
    // one standard error lets a slope in now and then, never a large one
    expect(Math.abs(flat!.output_length?.slope ?? 0)).toBeLessThan(0.05)
    expect(flat!.output_tokens).toBeGreaterThan(95)
    expect(flat!.output_tokens).toBeLessThan(115)
  })

  it('cost what was logged where a model has no price', () => {
    const log = dataset({ costs: (k) => 0.01 * (k + 1) })
    const candidates = pricedCandidates(log, { strong: 'c', weak: 'a' })
    const costs = candidates.map((candidate) => expectedCost(candidate, 500)!)
    costs.forEach((cost, k) => {
      expect(cost).toBeCloseTo(0.01 * (k + 1), 6)
    })
  })
})

describe('choosing models', () => {
  const log = dataset({ tokens: () => 10 })

  it('takes the pair from the train rows unless it is named', () => {
    expect(chooseModels(log, { models: 'all', prices })).toMatchObject({ strong: 'c', weak: 'a' })
    const named = chooseModels(log, { models: ['c', 'b', 'c'], strong: 'b', prices })
    expect(named).toMatchObject({ strong: 'b', weak: 'c' })
    expect(named.dataset.models).toEqual(['b', 'c'])
  })

  it('keeps each model its own column', () => {
    const { outcomes } = withModels(log, ['c', 'a'])
    for (const i of [0, 17, 399]) {
      expect(outcomes!.scores[i * 2]).toBe(log.outcomes!.scores[i * 3])
      expect(outcomes!.scores[i * 2 + 1]).toBe(log.outcomes!.scores[i * 3 + 2])
    }
  })
})

describe('a rule before any calibration', () => {
  it('spends half-way between the cheapest and the strong model on the given prompts', () => {
    const random = createRandom(6)
    const prompts = Array.from({ length: 300 }, () => 'x')
    const quality = Float64Array.from(
      { length: 900 },
      (_, i) => [0.3, 0.6, 0.9][i % 3]! * random.next(),
    )
    const candidates = pricedCandidates(dataset({ tokens: () => 10 }), {
      strong: 'c',
      weak: 'a',
      prices,
    })
    const { rule } = defaultRule({
      request: { kind: 'best-value' },
      candidates,
      prompts,
      quality,
    })
    if (rule.kind !== 'best-value') throw new Error(rule.kind)
    const costs = candidates.map((candidate) => expectedCost(candidate, 1)!)
    let spent = 0
    for (let i = 0; i < 300; i++) {
      const values = costs.map((cost, k) => quality[3 * i + k]! - rule.lambda * cost)
      spent += costs[values.indexOf(Math.max(...values))]! / 300
    }
    expect(spent / ((costs[0]! + costs[2]!) / 2)).toBeGreaterThan(0.97)
    expect(spent / ((costs[0]! + costs[2]!) / 2)).toBeLessThanOrEqual(1)
  })
})
