import { between, fill, listed, pick, several, unit } from '../draw.ts'
import type { Family } from '../family.ts'
import { phrases } from '../lists.ts'
import { passage } from './passage.ts'

const FIELDS = phrases(`
  names | dates | cities | amounts | companies | products | order codes | weekdays | phone numbers |
  percentages
`)
const RULES = [
  'resolve every pronoun to a full name',
  'normalise each date to ISO 8601 and infer the missing year',
  'link each amount to the clause that qualifies it',
  'nest the entities by the relation between them',
  'mark which statements contradict each other',
  'give character offsets for each span',
  'separate reported from asserted facts',
]
const ASKED = [
  'Extract the {fields} from this text:\n{text}',
  'List the {fields} mentioned below.\n\n{text}',
  '{text}\n\nPull out the {fields}.',
  'From the note that follows, give me the {fields} as JSON.\n"{text}"',
  'Which {fields} appear here? {text}',
  '{text}\n---\nReturn the {fields}, one per line.',
  'Find all {fields}: {text}',
  'I need the {fields} out of this message for a spreadsheet. {text}',
]

/** Difficulty: plain fields are easy however long the text; the rules that come with them are not. */
export const extraction: Family = {
  name: 'extraction',
  skill: { strong: 1, weak: 0.5 },
  draw(random) {
    const fields = between(random, 1, 4)
    const rules = random.next() < 0.5 ? 0 : between(random, 1, 3)
    const asked = fill(random, pick(random, ASKED), {
      fields: listed(several(random, FIELDS, fields)),
      text: passage(random, between(random, 2, 7)),
    })
    return {
      prompt:
        rules === 0
          ? asked
          : `${asked}\n${pick(random, ['Also', 'In addition', 'And'])} ${listed(several(random, RULES, rules))}.`,
      difficulty: unit(0.03 * fields + 0.3 * rules),
      answerTokens: 25 * fields + 60 * rules,
    }
  },
}
