/**
 * `weir-router/testing`: the suite of a contract, run on an extension of your own. A reader here; families,
 * encoders, steps and strategies have theirs.
 *
 *     npx vitest run examples/contract.test.ts
 */
import { expect, it } from 'vitest'
import { type Reader, registerReader } from 'weir-router'
import { checkReader } from 'weir-router/testing'

/** `{"question": "...", "better": "gpt-4o", "worse": "llama-8b"}` */
const duelReader: Reader = {
  name: 'duel',
  required: ['question', 'better', 'worse'],
  recognises: (columns) => columns.has('better') && columns.has('worse'),
  open: () => (record, origin) => {
    const { question, better, worse } = record
    if (typeof question !== 'string' || typeof better !== 'string' || typeof worse !== 'string') {
      return { kind: 'reject', origin, field: 'question', reason: 'expected three texts' }
    }
    return {
      kind: 'preference',
      origin,
      prompt: question,
      modelA: better,
      modelB: worse,
      winner: 'a',
      weight: 1,
    }
  },
}

it('keeps the contract of readers', () => {
  checkReader({
    reader: duelReader,
    records: [{ question: 'Say hello', better: 'gpt-4o', worse: 'llama-8b' }],
    rows: ['Say hello | gpt-4o > llama-8b'],
    bad: [{ change: { question: 7 }, field: 'question' }],
  })
})

it('is known from then on, by every function that reads logs', () => {
  registerReader(duelReader)
  expect(() => registerReader(duelReader)).toThrow('a layout with a new name')
})
