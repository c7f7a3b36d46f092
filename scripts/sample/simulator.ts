import { createRandom, deriveSeed } from '../../core/random.ts'
import type { Draft } from './family.ts'
import { type Answer, answer, PRICES, truthOf } from './outcomes.ts'
import { type SimulatedPreference, simulatePreferences } from './preferences.ts'
import { type SimulatedPrompt, simulatePrompts } from './prompts.ts'

export interface SimulatedRow {
  readonly id: string
  readonly category: string
  readonly draft: Draft
  readonly pStrong: number
  readonly pWeak: number
  readonly strong: Answer
  readonly weak: Answer
}

export interface Simulation {
  readonly outcomes: SimulatedRow[]
  readonly preferences: SimulatedPreference[]
}

/** Outcomes and preferences on different prompts; one seed gives the same rows anywhere. */
export function simulate(outcomes: number, preferences: number, seed: number): Simulation {
  const prompts = simulatePrompts(outcomes + preferences, seed)
  return {
    outcomes: simulateOutcomes(prompts.slice(0, outcomes), seed),
    preferences: simulatePreferences(prompts.slice(outcomes), seed),
  }
}

function simulateOutcomes(prompts: readonly SimulatedPrompt[], seed: number): SimulatedRow[] {
  const random = createRandom(deriveSeed(seed, 'answers'))
  return prompts.map(({ family, draft }, i) => {
    const { pStrong, pWeak } = truthOf(family, draft)
    return {
      id: `s${String(i + 1).padStart(5, '0')}`,
      category: family.name,
      draft,
      pStrong,
      pWeak,
      strong: answer(random, draft, pStrong, PRICES.strong),
      weak: answer(random, draft, pWeak, PRICES.weak),
    }
  })
}
