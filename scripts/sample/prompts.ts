import { createRandom, deriveSeed, type Random } from '../../core/random.ts'
import { stem } from '../../data/splits/stem.ts'
import { FAMILIES } from './families.ts'
import type { Draft, Family } from './family.ts'

export interface SimulatedPrompt {
  readonly family: Family
  readonly draft: Draft
}

const TRIES = 200

/** `count` prompts in random order, with alternating families, no two with the same stem. */
export function simulatePrompts(count: number, seed: number): SimulatedPrompt[] {
  const random = createRandom(deriveSeed(seed, 'prompts'))
  const seen = new Set<string>()
  const prompts = Array.from({ length: count }, (_, i) => {
    const family = FAMILIES[i % FAMILIES.length]!
    return { family, draft: freshDraft(family, seen, random) }
  })
  return random.shuffle(prompts)
}

function freshDraft(family: Family, seen: Set<string>, random: Random): Draft {
  for (let i = 0; i < TRIES; i++) {
    const draft = family.draw(random)
    const own = stem(draft.prompt, [])
    if (seen.has(own)) continue
    seen.add(own)
    return draft
  }
  throw new Error(
    `the ${family.name} family has run out of new prompts; give it more words or ask for fewer rows`,
  )
}
