import { createRandom, deriveSeed } from '../core/random.ts'
import { SPLITS } from '../data/dataset/dataset.ts'
import { textOf, withText } from '../models/encoders/context.ts'
import type { ReadDataset } from './fit-router.ts'

/** What people and programs write before and after a question, whatever it asks. */
const BEFORE = [
  'You are an expert assistant.',
  'You are a helpful AI.',
  'You are a careful expert in all fields.',
  'As an assistant, be polite.',
  'Act as a tutor.',
  'Answer as well as you can.',
  'Think step by step.',
  'Please read carefully.',
  'I need some help.',
  'Hi there!',
]
const AFTER = [
  'Thank you!',
  'Thanks in advance.',
  'Thanks for your answer!',
  'I would appreciate an answer.',
  'Please help.',
  'Please reply soon.',
  'Explain your answer please.',
  'Be concise.',
  'Kind regards',
]

const TRAIN = SPLITS.indexOf('train')

/**
 * The dataset with such a phrase before a quarter of its train prompts, and after another, so that a router learns
 * that they say nothing. Which prompts and phrases follows from the seed.
 */
export function withPhrases(dataset: ReadDataset, seed: number): ReadDataset {
  const random = createRandom(deriveSeed(seed, 'phrases'))
  const prompts = dataset.prompts.map((prompt, row) => {
    if (dataset.split[row] !== TRAIN) return prompt
    const draw = random.next()
    const text = textOf(prompt)
    if (draw < 0.25) return withText(prompt, `${BEFORE[random.int(BEFORE.length)]}\n\n${text}`)
    if (draw < 0.5) return withText(prompt, `${text}\n\n${AFTER[random.int(AFTER.length)]}`)
    return prompt
  })
  return { ...dataset, prompts }
}
