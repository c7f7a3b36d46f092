import { between, fill, pick } from '../draw.ts'
import type { Family } from '../family.ts'
import { phrases, words } from '../lists.ts'

const COUNTRIES = words(`
  France Kenya Japan Canada Brazil Norway Egypt Vietnam Peru Ireland India Greece Chile Morocco
  Finland Mexico Nepal Cuba Austria Ghana
`)
const ANIMALS = words(`
  dolphins owls octopuses camels penguins honeybees bats giraffes frogs whales ants foxes hedgehogs
  parrots beavers sharks snails moles
`)
const ELEMENTS = words(`
  iron helium gold oxygen sodium carbon neon copper silver calcium zinc lead tin iodine mercury
  sulphur nickel argon
`)
const COMMON = phrases(`
  What is the capital of {country}? | Which currency is used in {country}? |
  What language do most people speak in {country}? | Are {animals} mammals? |
  What do {animals} eat? | What is the chemical symbol for {element}? |
  Which continent is {country} on? | How long do {animals} usually live? | Is {element} a metal? |
  What is the flag of {country} like? | Name the largest city in {country}. |
  Where do {animals} sleep? | What is {element} used for? | Why is {country} famous?
`)
const SPECIAL = [
  'Which treaty settled the border of {country} with its eastern neighbour?',
  'Who led the opposition in {country} in {year}?',
  'What was the main export of {country} in {year}?',
  'How do {animals} regulate their body temperature at night?',
  'Who first isolated {element}, and in which laboratory?',
  'At which temperature does {element} change its crystal phase?',
  'Which novelist from {country} won a prize in {year}?',
  'What is the Latin name of the family that {animals} belong to?',
]
const ARCANE = [
  'Which {century}-century Ottoman firman regulated the {trade} guilds trading with {country}, and who countersigned it?',
  'Name the minor {century}-century heresiarch from {country} condemned for his tract on {trade} and the synod that did it.',
  'In which archive is the {year} cadastral survey of the {trade} monopolies in {country} kept, and under what shelfmark?',
  'What was the vowel inventory of the extinct dialect recorded in {country} by a {trade} merchant in {year}?',
  'Who endowed the obscure {century}-century confraternity of {trade} workers in {country}, and how was its charter sealed?',
  'Which paragraph of the {year} customs ordinance of {country} exempted {trade}, and which jurist drafted it?',
]
const TRADES = phrases(`
  alum | saffron | vellum | indigo | salt | beaver pelt | amber | tallow | saltpetre | madder |
  whale oil | cochineal
`)
const FRAMES = phrases(`
  {q} | {q} | {q} | Quiz question: {q} | My daughter asks: {q} | {q} A short answer is fine. |
  Trivia for tonight. {q} | I forgot - {q} | Do you know this one? {q} | {q} And how sure are you?
`)

/** Difficulty: how rarely the subject is written about. */
export const facts: Family = {
  name: 'facts',
  skill: { strong: 0.72, weak: 0.3 },
  draw(random) {
    const kind = pick(random, [0, 0, 1, 2])
    const slots = {
      country: COUNTRIES,
      animals: ANIMALS,
      element: ELEMENTS,
      trade: TRADES,
      year: String(between(random, 1480, 1935)),
      century: words(`
        eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth
      `),
    }
    const q = fill(random, pick(random, [COMMON, SPECIAL, ARCANE][kind]!), slots)
    return {
      prompt: fill(random, pick(random, FRAMES), { q }),
      difficulty: [0.03, 0.5, 0.88][kind]!,
      answerTokens: 25 + 30 * kind,
    }
  },
}
