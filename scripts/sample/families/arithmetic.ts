import type { Random } from '../../../core/random.ts'
import { between, fill, pick, unit } from '../draw.ts'
import type { Family } from '../family.ts'

const ASKED = [
  'What is {sum}?',
  'Calculate {sum}.',
  '{sum} = ?',
  'Work out {sum} for me',
  'I need the value of {sum}, exactly.',
  "What's {sum}? Just the number.",
  'compute {sum}',
  'Quick sum: {sum}',
  'Please evaluate {sum} and show the result only.',
  'My calculator died. {sum}?',
  'Give me {sum} to the last digit.',
  'How much is {sum}',
] as const

/** Difficulty: how many digits the operands have, how many operations there are, and which. */
export const arithmetic: Family = {
  name: 'arithmetic',
  skill: { strong: 0.82, weak: 0.34 },
  draw(random) {
    const operations = between(random, 1, 4)
    const digits = between(random, 1, 6)
    const hardSigns = random.next() < 0.5
    const terms = Array.from({ length: operations + 1 }, () => operand(random, digits))
    let sum = String(terms[0])
    for (const term of terms.slice(1))
      sum += ` ${pick(random, hardSigns ? ['*', '*', '/'] : ['+', '-'])} ${term}`
    const modulus = hardSigns && random.next() < 0.3
    if (modulus) sum = `(${sum}) mod ${between(random, 7, 97)}`
    return {
      prompt: fill(random, pick(random, ASKED), { sum }),
      difficulty: unit(
        0.08 * (digits - 1) +
          0.06 * (operations - 1) +
          (hardSigns ? 0.25 : 0) +
          (modulus ? 0.12 : 0),
      ),
      answerTokens: 8 + 3 * digits + 12 * operations,
    }
  },
}

function operand(random: Random, digits: number): number {
  return between(random, 10 ** (digits - 1) + (digits === 1 ? 1 : 0), 10 ** digits - 1)
}
