import { between, capitalised, fill, pick, several, unit } from '../draw.ts'
import type { Family } from '../family.ts'
import { phrases } from '../lists.ts'
import { CITIES, FIRST_NAMES, GOODS, MONTHS, WEEKDAYS } from '../vocabulary.ts'

const GOALS = phrases(`
  a weekend in {city} for {n} people | a birthday party for {name} in {month} |
  a move from {city} to {city} | {name}'s revision for an exam on {day} |
  a week of dinners for {n} | the launch of a new {good} in {month} |
  a workshop for {n} beginners in {city} | a vegetable garden starting in {month} |
  my first 10 km race in {city} | a clear-out of the garage by {day} |
  a photography walk through {city} | a charity sale of {good}s on {day}
`)
const ASKED = phrases(`
  Plan {goal}. | Help me plan {goal} | I am organising {goal} and need a schedule. |
  Draw up a plan for {goal}. | Can you sketch {goal}, day by day? | Make a checklist for {goal}. |
  {goal}: where do I start? | What would a sensible timetable for {goal} look like?
`)
const CONSTRAINTS = [
  'the budget is {n}0 dollars and may not be exceeded on any single day',
  '{name} and {name} cannot be scheduled on the same day',
  'every step depends on the approval of the step two before it',
  'only three of the five vehicles may be used at once',
  '{name} is available on {day} afternoons only',
  'travel time must be minimised subject to the opening hours',
  'two tasks run in parallel whenever resources allow',
  'the critical path must have slack of two days',
  'each room is shared by at most {n} people with conflicting allergies',
  'if {day} is cancelled the whole sequence must still be feasible',
]

/** Difficulty: how many constraints must hold at once. */
export const planning: Family = {
  name: 'planning',
  skill: { strong: 0.86, weak: 0.38 },
  draw(random) {
    const slots = {
      city: CITIES,
      name: FIRST_NAMES,
      month: MONTHS,
      day: WEEKDAYS,
      good: GOODS,
      n: String(between(random, 3, 40)),
    }
    const constraints = random.next() < 0.45 ? 0 : between(random, 1, 5)
    const goal = fill(random, pick(random, GOALS), slots)
    const asked = capitalised(fill(random, pick(random, ASKED), { goal }))
    const rules = several(random, CONSTRAINTS, constraints).map(
      (rule) => `- ${fill(random, rule, slots)}`,
    )
    return {
      prompt:
        constraints === 0
          ? asked
          : [
              asked,
              pick(random, ['Constraints:', 'Mind that', 'It must satisfy:', 'Note:']),
              ...rules,
            ].join('\n'),
      difficulty: unit(0.05 + 0.18 * constraints),
      answerTokens: 220 + 50 * constraints,
    }
  },
}
