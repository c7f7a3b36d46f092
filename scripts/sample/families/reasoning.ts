import { articles, between, listed, pick, several, unit } from '../draw.ts'
import type { Family } from '../family.ts'
import { phrases } from '../lists.ts'
import { FIRST_NAMES, WEEKDAYS } from '../vocabulary.ts'

const PLACES = phrases(`
  in a row | around a table | on different floors | in adjacent offices | on a bench | in a queue
`)
const THINGS = phrases(`
  plays the cello | owns the parrot | drinks mint tea | drives the red van | grows tomatoes |
  speaks Basque | keeps bees | paints boats | repairs clocks | collects stamps
`)
const SIMPLE = [
  'If all {a} are {b} and this is a {x}, is it a {y}?',
  '{p} is taller than {q}, and {q} is taller than {r}. Who is the shortest?',
  '{p} was born before {q}. {q} was born before {r}. Who is the oldest?',
  'Today is {day}. What day is it in {n} days?',
  'Which is the odd one out: {a}, {b}, {c}, or a hammer?',
  '{p} parked left of {q}; {r} parked right of {q}. Who is in the middle?',
]
const KINDS = [
  ['robins', 'robin'],
  ['violins', 'violin'],
  ['oaks', 'oak'],
  ['ferries', 'ferry'],
  ['poodles', 'poodle'],
  ['sonnets', 'sonnet'],
  ['spoons', 'spoon'],
  ['cottages', 'cottage'],
  ['lizards', 'lizard'],
  ['scooters', 'scooter'],
] as const
const STARTS = phrases(`
  Puzzle: {people} {sit}. | {people} {sit}, and we know the following. |
  Logic question. {people} {sit}. | Help me solve this before {day}: {people} {sit}. |
  Here is a riddle from the paper. {people} {sit}. | Given: {people} {sit}.
`)
const ENDS = [
  'Who {thing}?',
  'Deduce who {thing}, step by step.',
  'Is it certain who {thing}? Explain.',
  'Find the only consistent arrangement and say who {thing}.',
]

/** Difficulty: one inference, or a puzzle of three to seven people with as many clues as they need. */
export const reasoning: Family = {
  name: 'reasoning',
  skill: { strong: 0.8, weak: 0.3 },
  draw(random) {
    const [p, q, r] = several(random, FIRST_NAMES, 3) as [string, string, string]
    const day = pick(random, WEEKDAYS)
    if (random.next() < 0.35) {
      const [first, second, third] = several(random, KINDS, 3) as [
        (typeof KINDS)[number],
        (typeof KINDS)[number],
        (typeof KINDS)[number],
      ]
      const slots: Record<string, string> = {
        a: first[0],
        x: first[1],
        b: second[0],
        y: second[1],
        c: third[0],
        p,
        q,
        r,
        day,
        n: String(between(random, 3, 40)),
      }
      return {
        prompt: put(pick(random, SIMPLE), slots),
        difficulty: 0.05,
        answerTokens: 40,
      }
    }
    const size = between(random, 3, 7)
    const people = several(random, FIRST_NAMES, size)
    const clues = Array.from({ length: size + random.int(2) }, () => {
      const [one, other] = several(random, people, 2) as [string, string]
      const thing = pick(random, THINGS)
      return pick(random, [
        `${one} is not next to ${other}.`,
        `Whoever ${thing} is directly left of ${other}.`,
        `${one} never ${thing}.`,
        `Either ${one} or ${other} ${thing}, but not both.`,
        `If ${one} ${thing}, then ${other} is at an end.`,
        `Exactly two people stand between ${one} and the one who ${thing}.`,
        `${one} comes before ${other}.`,
      ])
    })
    const opening = put(pick(random, STARTS), {
      people: listed(people),
      sit: `are ${pick(random, PLACES)}`,
      day,
    })
    return {
      prompt: [opening, ...clues, put(pick(random, ENDS), { thing: pick(random, THINGS) })].join(
        ' ',
      ),
      difficulty: unit(0.2 + 0.17 * (size - 3)),
      answerTokens: 100 + 90 * size,
    }
  },
}

function put(template: string, slots: Readonly<Record<string, string>>): string {
  return articles(template.replace(/\{(\w+)\}/g, (whole, name: string) => slots[name] ?? whole))
}
