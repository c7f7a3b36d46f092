import { expect, test } from 'vitest'
import { DEFAULT_FRACTIONS, SPLITS, splitOf } from '../../data/splits/assign-splits.ts'
import { findSharedPrefixes, stem } from '../../data/splits/stem.ts'

test('copies that differ in case, spacing or answer options have one stem', () => {
  const copies = [
    'Which gas do plants take in?\nA. Oxygen\nB. Carbon dioxide\nAnswer:',
    'which gas do plants take in ?\n\n(A) Carbon dioxide\n(B) Helium',
    'Which  gas do plants take in?',
  ]
  expect(new Set(copies.map((text) => stem(text, [])))).toEqual(new Set(['whichgasdoplantstakein']))
})

test('a prompt of nothing but options, or of signs alone, still has a stem of its own', () => {
  expect(stem('A. one\nB. two', [])).toBe('aonebtwo')
  expect(stem('?!', [])).not.toBe(stem('...', []))
})

test('a template that over 5% of the prompts share is taken off; a chance opening is not', () => {
  const template = 'You are a careful assistant. Translate this sentence: '
  const prompts = [
    ...[...Array(40).keys()].map(
      (i) => `${template}${String.fromCharCode(97 + (i % 26))}${i} cats`,
    ),
    ...[...Array(400).keys()].map((i) => `${i} how do I bake bread number ${i}`),
  ]
  const prefixes = findSharedPrefixes(prompts)
  expect(prefixes[0]).toBe('youareacarefulassistanttranslatethissentence')
  expect(stem(`${template}The cat sat.`, prefixes)).toBe('thecatsat')
  expect(stem(template, prefixes)).not.toBe('')
})

test('splits keep their fractions, and one stem is always in one split', () => {
  const counts = [0, 0, 0, 0]
  for (let i = 0; i < 20_000; i++) counts[splitOf(`stem ${i}`, 3, DEFAULT_FRACTIONS)]!++
  SPLITS.forEach((split, i) => {
    expect(counts[i]! / 20_000).toBeCloseTo(DEFAULT_FRACTIONS[split], 1.7)
  })
  expect(splitOf('same', 3, DEFAULT_FRACTIONS)).toBe(splitOf('same', 3, DEFAULT_FRACTIONS))
})
