import { fill, pick, unit } from '../draw.ts'
import type { Family } from '../family.ts'
import { phrases, words } from '../lists.ts'
import { CITIES, FIRST_NAMES, GOODS, WEEKDAYS } from '../vocabulary.ts'

const SMALL = phrases(`
  Hi! How are you doing this {day}? | What should I cook tonight? I have {food} and {food}. |
  Tell me a joke about a {good}. | I'm bored in {city}, any ideas? |
  My friend {name} is visiting on {day}. What should we do? | Good morning from {city}! |
  Recommend a film for a rainy {day}. | Name my new pet. It looks like a {good}. |
  What's a nice birthday present for {name}, who loves {food}? |
  I got a new {good} and I am so happy | Say something cheerful about {city}. |
  Do you prefer {food} or {food}? | I cannot sleep, tell me about {city} at night. |
  My {good} broke today, cheer me up. | Make small talk with me about {food}. |
  {name} says {city} is overrated. Agree? | Suggest a playlist name for a drive to {city}. |
  It's {day} and I feel lazy. Motivate me! | Tell me something fun about {food}. |
  hey, long day. talk to me about {food} and {city}
`)
const HEAVY = [
  '{name} and I inherited a house in {city} and no longer speak; weigh both sides and say what you would do, knowing the will is ambiguous.',
  'My manager asked me to hide a defect in our {good}. Argue the ethical dilemma from three conflicting moral theories, then commit to one.',
  'I feel torn between caring for my father in {city} and my career with {name}. Be honest about the trade-offs nobody mentions.',
]
const FOOD = words(`
  leeks rice pumpkin sardines noodles apricots lentils halloumi mushrooms pancakes olives dumplings
  spinach chestnuts rhubarb tofu figs
`)

/** Difficulty: usually none; now and then a dilemma that needs judgement. */
export const chat: Family = {
  name: 'chat',
  skill: { strong: 0.9, weak: 0.55 },
  draw(random) {
    const heavy = random.next() < 0.12
    return {
      prompt: fill(random, pick(random, heavy ? HEAVY : SMALL), {
        day: WEEKDAYS,
        food: FOOD,
        good: GOODS,
        city: CITIES,
        name: FIRST_NAMES,
      }),
      difficulty: unit(heavy ? 0.6 : 0.02),
      answerTokens: heavy ? 350 : 70,
    }
  },
}
