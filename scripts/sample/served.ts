import { createRandom, deriveSeed } from '../../core/random.ts'
import type { Price } from '../../models/prices.ts'
import type { Draft, Family } from './family.ts'
import { type Answer, answer, PRICES, STRONG, successProbability, WEAK } from './outcomes.ts'
import { COMPARED } from './preferences.ts'
import type { SimulatedPrompt } from './prompts.ts'

/** How often a user of the thumbs log rates an answer. */
export const RATED_SHARE = 0.6
/** Time of the first answer in the thumbs log, and between two of them. */
const FIRST = Date.UTC(2026, 8, 1)
const TEN_MINUTES = 600_000

/** One answer as an application logs it. */
export interface SimulatedThumb {
  readonly id: string
  readonly timestamp: string
  readonly prompt: string
  readonly model: string
  /** nobody rated it: null */
  readonly thumb: 'up' | 'down' | null
}

/** What is read of a row of the outcome log. */
interface AnsweredByBoth {
  readonly id: string
  readonly draft: Draft
  readonly strong: Answer
  readonly weak: Answer
}

/** The outcome log as an application would have seen it: one of the two models was asked by a coin, and most answers are rated. */
export function simulateThumbs(rows: readonly AnsweredByBoth[], seed: number): SimulatedThumb[] {
  const random = createRandom(deriveSeed(seed, 'thumbs'))
  return rows.map(({ id, draft, strong, weak }, i) => {
    const [model, { score }] = random.next() < 0.5 ? [STRONG, strong] : [WEAK, weak]
    const rated = random.next() < RATED_SHARE
    const timestamp = new Date(FIRST + i * TEN_MINUTES).toISOString()
    return { id, timestamp, prompt: draft.prompt, model, thumb: rated ? thumb(score) : null }
  })
}

const thumb = (score: 0 | 1): 'up' | 'down' => (score === 1 ? 'up' : 'down')

/** The four models of the preference log. */
const MODEL_PRICES: Readonly<Record<string, Price>> = {
  [STRONG]: PRICES.strong,
  'mid-1': { input: 1, output: 4 },
  'coder-1': { input: 0.8, output: 3.2 },
  [WEAK]: PRICES.weak,
}

export interface SimulatedAnswers {
  readonly id: string
  readonly category: string
  readonly prompt: string
  readonly answers: Readonly<Record<string, Answer>>
}

/** Prompts that all four models of the preference log answered. */
export function simulateModels(
  prompts: readonly SimulatedPrompt[],
  seed: number,
): SimulatedAnswers[] {
  const random = createRandom(deriveSeed(seed, 'models'))
  return prompts.map(({ family, draft }, i) => {
    const answered = (skill: (family: Family) => number, name: string): Answer => {
      const p = successProbability(skill(family), draft.difficulty)
      return answer(random, draft, p, MODEL_PRICES[name]!)
    }
    const answers = Object.entries(COMPARED).map(([name, skill]) => [name, answered(skill, name)])
    return {
      id: `m${String(i + 1).padStart(5, '0')}`,
      category: family.name,
      prompt: draft.prompt,
      answers: Object.fromEntries(answers),
    }
  })
}
