import { between, fill, listed, pick, several, unit } from '../draw.ts'
import type { Family } from '../family.ts'
import { phrases } from '../lists.ts'
import { passage } from './passage.ts'

const ASKED = [
  'Summarise this in one sentence. {text}',
  '{text}\n\nTL;DR?',
  'What is the gist of the following?\n{text}',
  'Give me {n} bullet points from this update: {text}',
  'Shorten this for a newsletter:\n\n{text}',
  '{text}\n\nSum that up for my boss in {n} lines.',
  'Please condense: {text}',
  'Read this and tell me what matters. "{text}"',
  'Key points only:\n{text}',
  '{text} -- short version please',
]
const DEMANDS = phrases(`
  without using the letter e | as a sonnet in strict iambic pentameter |
  so that each sentence has exactly seven words | while quantifying the uncertainty of every claim |
  with a palindrome for a title | reconciling the contradictory figures |
  in descending order of legal risk
`)

/** Difficulty: not the length of the text, only the requirements on the summary. */
export const summarising: Family = {
  name: 'summarising',
  skill: { strong: 0.92, weak: 0.46 },
  draw(random) {
    const demands = random.next() < 0.6 ? 0 : between(random, 1, 2)
    const text = passage(random, between(random, 3, 11))
    const asked = fill(random, pick(random, ASKED), { text, n: ['two', 'three', 'four', 'five'] })
    return {
      prompt:
        demands === 0 ? asked : `${asked}\nWrite it ${listed(several(random, DEMANDS, demands))}.`,
      difficulty: unit(0.06 + 0.36 * demands),
      answerTokens: 70,
    }
  },
}
