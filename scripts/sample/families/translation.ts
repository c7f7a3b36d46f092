import { between, fill, pick, unit } from '../draw.ts'
import type { Family } from '../family.ts'
import { phrases } from '../lists.ts'
import { CITIES, FIRST_NAMES, GOODS, WEEKDAYS } from '../vocabulary.ts'

/** Languages by how rare they are in training data, 0 to 1. */
const LANGUAGES: readonly (readonly [readonly string[], number])[] = [
  [['Spanish', 'French', 'German', 'Italian', 'Portuguese'], 0],
  [['Polish', 'Dutch', 'Turkish', 'Swedish', 'Japanese', 'Korean'], 0.25],
  [['Icelandic', 'Swahili', 'Georgian', 'Basque', 'Welsh', 'Khmer'], 0.75],
  [['Sanskrit verse', 'Old Norse', 'Classical Nahuatl', 'Akkadian', 'Old Church Slavonic'], 1],
]
const PLAIN = phrases(`
  Where is the station? | I would like two tickets to {city}, please. |
  The {good} arrives on {day}. | My name is {name} and I am from {city}. |
  Can you help me find the {good}? | The shop opens at {n} on {day}. |
  We ordered {n} {good}s last week. | Thank you for the lovely evening in {city}. |
  {name} will call you back on {day}. | The weather in {city} is lovely in spring. |
  Please leave the {good} by the door.
`)
const SUBTLE = [
  'He kicked the bucket long before the {good} was paid for, {name} quipped.',
  'The party of the first part shall indemnify {name} against any claim arising from the {good}.',
  "It's not over till the fat lady sings, and {city} had barely tuned up.",
  'Notwithstanding clause {n}, the lessee of the {good} waives the right of subrogation.',
  'Time flies like an arrow; {name} flies like a {good}.',
  'O {city}, thy lamps are wan, and {name} weeps for {n} drowned summers.',
  'The {good} spilled the beans, {name} let the cat out of the bag, and {day} went pear-shaped.',
]
const ASKED = [
  'Translate into {language}: "{text}"',
  'How do you say "{text}" in {language}?',
  'Please put this into {language}. {text}',
  '"{text}" - in {language}, please',
  'I need a {language} version of: {text}',
  'What is the {language} for: {text}',
  'For a friend who reads only {language}: "{text}"',
  '{text}\n\nGive me that in {language}.',
]

/** Difficulty: the language, and whether the text is plain or depends on idiom, verse or law. */
export const translation: Family = {
  name: 'translation',
  skill: { strong: 0.9, weak: 0.42 },
  draw(random) {
    const [languages, rare] = pick(random, LANGUAGES)
    const subtle = random.next() < 0.4
    const slots = {
      city: CITIES,
      good: GOODS,
      name: FIRST_NAMES,
      day: WEEKDAYS,
      n: String(between(random, 2, 60)),
    }
    const text = fill(random, pick(random, subtle ? SUBTLE : PLAIN), slots)
    return {
      prompt: fill(random, pick(random, ASKED), { language: pick(random, languages), text }),
      difficulty: unit(0.03 + 0.52 * rare + (subtle ? 0.34 : 0)),
      answerTokens: 20 + Math.round(text.length / 3),
    }
  },
}
