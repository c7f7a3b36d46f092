import { createRandom, deriveSeed } from '../../models/random.ts'
import { FAMILIES } from './families.ts'
import type { Draft, Family } from './family.ts'
import { type Answer, answer, PRICES, truthOf } from './outcomes.ts'

export interface SimulatedRow {
  readonly id: string
  readonly category: string
  readonly draft: Draft
  readonly pStrong: number
  readonly pWeak: number
  readonly strong: Answer
  readonly weak: Answer
}

const TRIES = 200

/** `count` rows, families in turn, no two with the same stem; one seed gives the same rows anywhere. */
export function simulate(count: number, seed: number): SimulatedRow[] {
  const prompts = createRandom(deriveSeed(seed, 'prompts'))
  const answers = createRandom(deriveSeed(seed, 'answers'))
  const seen = new Set<string>()
  const drafts: { family: Family; draft: Draft }[] = []
  for (let i = 0; i < count; i++) {
    const family = FAMILIES[i % FAMILIES.length]!
    drafts.push({ family, draft: freshDraft(family, seen, prompts) })
  }
  prompts.shuffle(drafts)
  return drafts.map(({ family, draft }, i) => {
    const { pStrong, pWeak } = truthOf(family, draft)
    return {
      id: `s${String(i + 1).padStart(5, '0')}`,
      category: family.name,
      draft,
      pStrong,
      pWeak,
      strong: answer(answers, draft, pStrong, PRICES.strong),
      weak: answer(answers, draft, pWeak, PRICES.weak),
    }
  })
}

function freshDraft(
  family: Family,
  seen: Set<string>,
  random: ReturnType<typeof createRandom>,
): Draft {
  for (let i = 0; i < TRIES; i++) {
    const draft = family.draw(random)
    const stem = stemOf(draft.prompt)
    if (seen.has(stem)) continue
    seen.add(stem)
    return draft
  }
  throw new Error(
    `the ${family.name} family has run out of new prompts; give it more words or ask for fewer rows`,
  )
}

/** What two prompts are told apart by: the first 160 letters and digits, lower-cased. */
export function stemOf(prompt: string): string {
  return prompt
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '')
    .slice(0, 160)
}
