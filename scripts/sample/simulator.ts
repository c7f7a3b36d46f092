import { createRandom, deriveSeed } from '../../core/random.ts'
import type { Draft } from './family.ts'
import { type Answer, answer, PRICES, truthOf } from './outcomes.ts'
import { type SimulatedPreference, simulatePreferences } from './preferences.ts'
import { type SimulatedPrompt, simulatePrompts } from './prompts.ts'
import {
  type SimulatedAnswers,
  type SimulatedThumb,
  simulateModels,
  simulateThumbs,
} from './served.ts'

/** Prompts of the preference log that all four models answered. */
const ALL_ANSWERED = 3000

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
  /** one answer to each prompt of the outcomes, with a user's thumb */
  readonly thumbs: SimulatedThumb[]
  /** all four models' answers to prompts of the preferences */
  readonly models: SimulatedAnswers[]
}

/** Outcomes and preferences are on different prompts; one seed gives the same rows anywhere. */
export function simulate(outcomes: number, preferences: number, seed: number): Simulation {
  const prompts = simulatePrompts(outcomes + preferences, seed)
  const rows = simulateOutcomes(prompts.slice(0, outcomes), seed)
  return {
    outcomes: rows,
    preferences: simulatePreferences(prompts.slice(outcomes), seed),
    thumbs: simulateThumbs(rows, seed),
    models: simulateModels(prompts.slice(outcomes, outcomes + ALL_ANSWERED), seed),
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
