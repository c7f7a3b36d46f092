import { expect, it } from 'vitest'
import { checkPolicy } from '../../../serving/policy/check.ts'
import { createPolicy } from '../../../serving/policy/pipeline.ts'
import type { SemanticIndex } from '../../../serving/policy/semantic.ts'
import { HEAD, requestOf } from '../../../testing/step-contract.ts'

const FILE = `${HEAD}
default: private
guardrails: [{ name: no-sums, near: sums, message: No sums. }]
semantic:
  encoder: letters
  deadline_ms: 5
  routes:
    - { name: sums, examples: [a, b] }
    - { name: words, route: open, examples: [c, d] }
`
const planning = (signal = new AbortController().signal) => ({
  signal,
  send: () => Promise.reject(new Error('asked a model')),
})
const near = (name: string | undefined, more: Partial<SemanticIndex> = {}): SemanticIndex => ({
  remote: false,
  thresholds: new Map(),
  match: async () => (name === undefined ? undefined : { name, score: 0.8, threshold: 0.5 }),
  ...more,
})
const plan = (semantic: SemanticIndex, more: object = {}, onWarning = (_: string) => {}) =>
  createPolicy(checkPolicy(FILE, 'p.yaml'), { semantic, onWarning }).plan(
    requestOf({ text: 'hello', ...more }),
    planning(),
  )

it('a guardrail refuses what is near its route, and a route serves what is near it', async () => {
  expect(await plan(near('sums'))).toMatchObject({
    kind: 'refuse',
    message: 'No sums.',
    deciding: { step: 'guardrail', reason: 'near_examples', name: 'no-sums' },
  })
  expect(await plan(near('words'))).toMatchObject({
    targets: [{ model: 'strong', score: 0.8 }, { model: 'weak' }],
    deciding: { step: 'semantic', name: 'words' },
  })
  expect((await plan(near(undefined))).deciding.step).toBe('default')
})

it('a question is embedded once, for guardrails and routes together', async () => {
  let asked = 0
  const match = async () => {
    asked++
    return undefined
  }
  await plan(near(undefined, { match }))
  expect(asked).toBe(1)
})

it('an encoder that fails or is late decides nothing, and is told of', async () => {
  const warnings: string[] = []
  const failing = near(undefined, { match: () => Promise.reject(new Error('down')) })
  const failed = await plan(failing, {}, (message) => warnings.push(message))
  expect(failed.deciding.step).toBe('default')
  expect(failed.steps).toContainEqual({
    step: 'semantic',
    matched: false,
    reason: 'encoder_failed',
  })
  const hanging = near(undefined, {
    match: (_, signal) =>
      new Promise((_resolve, reject) => {
        signal!.addEventListener('abort', () => reject(signal!.reason))
      }),
  })
  const late = await plan(hanging, {}, (message) => warnings.push(message))
  expect(late.steps).toContainEqual({ step: 'semantic', matched: false, reason: 'encoder_late' })
  expect(warnings).toEqual(Array(2).fill('the encoder of the semantic routes failed'))
})

it('what is sensitive is not sent to an encoder on another machine', async () => {
  let asked = 0
  const remote = near('words', {
    remote: true,
    match: async () => {
      asked++
      return undefined
    },
  })
  const secret = await plan(remote, { hints: { metadata: { tags: ['secret'] } } })
  expect(secret).toMatchObject({ deciding: { step: 'default' }, targets: [{ model: 'private' }] })
  expect(asked).toBe(0)
  await plan(remote)
  expect(asked).toBe(1)
})

it('a semantic route without a route is one that a guardrail asks for', () => {
  const faulty = FILE.replace('near: sums', 'when: { keywords: [x] }')
  expect(() => checkPolicy(faulty, 'p.yaml')).toThrow(
    /semantic\.routes\.0\.route: expected a route/,
  )
  expect(() => checkPolicy(FILE.replace('near: sums', 'near: smus'), 'p.yaml')).toThrow(
    'guardrails.0.near: expected one of sums, words, got smus',
  )
})
