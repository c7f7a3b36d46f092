import { fill, pick, unit } from '../draw.ts'
import type { Family } from '../family.ts'
import { phrases } from '../lists.ts'
import { CITIES, FIRST_NAMES, GOODS, WEEKDAYS } from '../vocabulary.ts'

const CLEAR = phrases(`
  I love my new {good}, it works perfectly! | Terrible service in {city}, never again. |
  The {good} broke after one day and I want my money back. | Great staff, {name} was so helpful. |
  My parcel with the {good} has not arrived. | How do I reset my password? |
  You charged me twice for the {good} on {day}. | Best {good} I have ever owned. |
  Please cancel my booking in {city} for {day}. |
  Congratulations, you won a {good}! Click now to claim! |
  Where can I download the invoice from {day}? | The app crashes whenever I open the {good} page.
`)
const SLY = [
  'Oh wonderful, another {good} that doubles as a paperweight. {name} must be thrilled.',
  'Not that I would ever call {city} dull; one can count the paving stones, after all.',
  'I suppose the {good} is as good as {name} deserves.',
  'Well, {day} came and went, and so, mercifully, did the {good}.',
  'If the aim was to make {name} nostalgic for the old {good}, consider it achieved.',
  'The {good} does exactly what you would fear it does, and on {day} it does it twice.',
]
const SIMPLE_LABELS = phrases(`
  positive or negative | spam or not spam | question or complaint | billing, delivery or technical |
  happy, neutral or angry | urgent or not urgent
`)
const FINE_LABELS = [
  'sarcasm, litotes, damning praise or sincere understatement',
  'which of the twelve speech acts of Searle and Bach',
  'the implicature it carries and the Gricean maxim it flouts',
  'its stance towards speaker, hearer and absent third party',
]
const ASKED = [
  'Classify this message as {labels}: "{text}"',
  'Is this {labels}? {text}',
  '{text}\n\nLabel: {labels}?',
  'Sort this into {labels}.\n{text}',
  'Sentiment check ({labels}): {text}',
  'Tag the review with {labels}. "{text}"',
  'One word please, {labels}: {text}',
  'Which label fits, {labels}? "{text}"',
]

/** Difficulty: clear or ambiguous texts, coarse or fine labels. */
export const classification: Family = {
  name: 'classification',
  skill: { strong: 0.9, weak: 0.45 },
  draw(random) {
    const sly = random.next() < 0.4
    const fine = sly && random.next() < 0.5
    const text = fill(random, pick(random, sly ? SLY : CLEAR), {
      good: GOODS,
      city: CITIES,
      name: FIRST_NAMES,
      day: WEEKDAYS,
    })
    return {
      prompt: fill(random, pick(random, ASKED), {
        labels: pick(random, fine ? FINE_LABELS : SIMPLE_LABELS),
        text,
      }),
      difficulty: unit(0.04 + (sly ? 0.44 : 0) + (fine ? 0.24 : 0)),
      answerTokens: 8,
    }
  },
}
