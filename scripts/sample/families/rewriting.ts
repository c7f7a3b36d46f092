import { between, fill, listed, pick, several, unit } from '../draw.ts'
import type { Family } from '../family.ts'
import { phrases } from '../lists.ts'
import { passage } from './passage.ts'

const TONES = phrases(`
  politer | more formal | friendlier | shorter | clearer | more upbeat | simpler | less stiff |
  more direct | warmer
`)
const ASKED = [
  'Make this {tone}: {text}',
  'Rewrite the following so that it sounds {tone}.\n{text}',
  '{text}\n\nCan you make that {tone}?',
  'Fix the grammar and make it {tone}. "{text}"',
  'Here is my draft; please turn it into something {tone}:\n\n{text}',
  '{text} <- rephrase, {tone} please',
  'Polish this paragraph, a bit {tone}: {text}',
  'I wrote this to a client. Could it be {tone}?\n{text}',
  'Change the wording to be {tone}, same meaning: {text}',
]
const DEMANDS = phrases(`
  keep the metre of a limerick | make the first letters of the sentences spell HARBOUR |
  preserve every legal obligation verbatim | imitate the syntax of Henry James |
  let each sentence imply its opposite under irony | use only words found in the 1611 Bible |
  balance each clause in chiasmus | keep all numbers but swap their referents consistently
`)

/** Difficulty: a change of tone is easy; each additional formal requirement is hard. */
export const rewriting: Family = {
  name: 'rewriting',
  skill: { strong: 0.95, weak: 0.45 },
  draw(random) {
    const demands = random.next() < 0.55 ? 0 : between(random, 1, 3)
    const asked = fill(random, pick(random, ASKED), {
      tone: TONES,
      text: passage(random, between(random, 1, 4)),
    })
    return {
      prompt:
        demands === 0
          ? asked
          : `${asked}\n${pick(random, ['Rules:', 'But', 'Conditions:', 'While you do:'])} ${listed(several(random, DEMANDS, demands))}.`,
      difficulty: unit(0.05 + 0.29 * demands),
      answerTokens: 90,
    }
  },
}
