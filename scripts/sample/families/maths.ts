import { between, fill, level, pick, unit } from '../draw.ts'
import type { Family } from '../family.ts'
import { phrases } from '../lists.ts'
import { CITIES, FIRST_NAMES, GOODS } from '../vocabulary.ts'

const STORIES = [
  '{name} buys {n} {good}s at {m} dollars each.',
  'A shop in {city} sells {n} {good}s a day for {m} dollars each.',
  'A tank in {city} holds {n}0 litres and drains {m} litres a minute.',
  '{name} cycles {n} km at {m} km per hour.',
  '{name} and {name} share {n} tickets for the {good} raffle, and {name} has {m} of them.',
  'A train leaves {city} for {city} with {n} passengers and {m} free seats.',
  '{name} earns {n} dollars a week packing {good}s and spends {m} of them.',
  'There are {n} boxes with {m} {good}s in each at a depot in {city}.',
]
const STEPS = phrases(`
  Then a quarter of that is given away. | After that the price rises by {m}%. |
  On {n2} days the amount doubles. | Half of what is left goes to {name}. |
  A fee of {m} is taken each month for {n2} months. | {name} then returns {n2} of them. |
  The next day the rate falls by a third. | A discount of {n2}% applies after the first {m}.
`)
const ENDS = phrases(`
  How much is left? | What is the final total? | How many remain at the end? |
  How long does it take altogether? | What does each person get? | What is the average per day?
`)
const SCHOOL = phrases(`
  Solve for x: {n}x + {m} = {big} | What is {m}% of {big}? | Simplify {n}/{big} as a fraction. |
  Find the area of a rectangle with sides {n} and {m} cm, in square metres. |
  Convert {big} metres to miles. | What is the mean of {n}, {m} and {big}? |
  A circle has radius {m}. Find its circumference.
`)
const ADVANCED = [
  'Prove that for every prime p greater than {m}, the sum of the first {n} {power} powers modulo p is {claim}.',
  'Find, with proof, every integer n below {big} for which {n}^n + {m} is divisible by {big2}.',
  'Evaluate the integral of x^{n2} * exp(-{m}x) * log(x) over the positive reals and justify convergence.',
  'Let G be a finite group of order {big}. Prove or disprove that G has a normal Sylow {n2}-subgroup when {m} divides the index.',
  'Determine the asymptotic growth of the recurrence T(n) = {n2}T(n/{m}) + n log n, and prove a tight bound.',
  'How many colourings of a {n} by {n2} torus with {m} colours are distinct up to symmetry? Use Burnside and prove each count.',
  'Prove the inequality between the {power} mean and the harmonic mean of {n} positive reals whose product is {m}, and find equality.',
  'Show that the series of sin({n}k)/k^{n2} converges uniformly on compact sets and derive its closed form at {m}.',
  'Derive the eigenvalues of the {n} by {n} tridiagonal Toeplitz matrix with {m} on the diagonal, then bound its spectral gap.',
]

/** Difficulty: school exercise, a story of one to five steps, or a proof. */
export const maths: Family = {
  name: 'maths',
  skill: { strong: 0.88, weak: 0.38 },
  draw(random) {
    const slots = {
      n: String(between(random, 3, 95)),
      m: String(between(random, 2, 60)),
      n2: String(between(random, 2, 12)),
      big: String(between(random, 101, 4999)),
      big2: String(between(random, 101, 999)),
      name: FIRST_NAMES,
      city: CITIES,
      good: GOODS,
      power: ['third', 'fourth', 'fifth', 'quadratic', 'cubic'],
      claim: [
        'zero',
        'a quadratic residue',
        'never a generator',
        'a unit',
        'bounded by its square root',
      ],
    }
    const kind = random.next()
    if (kind < 0.25) {
      return {
        prompt: fill(random, pick(random, SCHOOL), slots),
        difficulty: 0.08,
        answerTokens: 60,
      }
    }
    if (kind < 0.5) {
      return {
        prompt: fill(random, pick(random, ADVANCED), slots),
        difficulty: 0.78,
        answerTokens: 700,
      }
    }
    const steps = level(random, 5)
    const middle = Array.from({ length: steps.at }, () => pick(random, STEPS))
    return {
      prompt: fill(random, [pick(random, STORIES), ...middle, pick(random, ENDS)].join(' '), slots),
      difficulty: unit(0.12 + 0.56 * steps.share),
      answerTokens: 90 + 60 * steps.at,
    }
  },
}
