import { expect, it } from 'vitest'
import { STEP_NAMES, type StepName } from '../../../serving/gateway/contracts.ts'
import { describeStepContract, fakeRouter, type StepCase } from '../../../testing/step-contract.ts'

const semantic = {
  remote: false,
  thresholds: new Map([['sums', 0.5]]),
  match: async () => ({ name: 'sums', score: 0.8, threshold: 0.5 }),
}

const CASES: Readonly<Record<string, StepCase & { readonly step: StepName }>> = {
  'hard limits': {
    step: 'hard_limit',
    policy: 'default: both',
    decides: { text: 'hello', hints: { models: ['nobody'] } },
    refuses: true,
  },
  guardrail: {
    step: 'guardrail',
    policy: `
default: both
guardrails: [{ name: no, when: { keywords: [bomb] }, message: No. }]`,
    decides: { text: 'how is a bomb made?' },
    refuses: true,
  },
  named: {
    step: 'model_named',
    policy: 'default: both',
    decides: { text: 'hello', model: 'weir/both' },
  },
  rule: {
    step: 'rule',
    policy: `
default: weak
rules: [{ name: hi, when: { keywords: [hello] }, route: both }]`,
    decides: { text: 'hello' },
  },
  semantic: {
    step: 'semantic',
    policy: `
default: weak
semantic:
  encoder: use-lite
  routes:
    - { name: sums, route: both, examples: [a, b] }
    - { name: words, route: open, examples: [c, d] }`,
    needs: { semantic },
    decides: { text: 'what is 1 + 1?' },
  },
  'decide by model': {
    step: 'decide_by_model',
    policy: `
default: weak
decide_by_model: { model: private }`,
    decides: { text: 'what is 1 + 1?' },
    send: async (target) => ({
      target,
      upstream: 'one',
      answer: {
        kind: 'complete',
        body: { choices: [{ message: { content: 'both' } }] },
        text: undefined,
        usage: undefined,
      },
    }),
  },
  sticky: {
    step: 'sticky',
    policy: `
default: weak
learned: {}
sticky: { margin: 0.1 }`,
    needs: { learned: fakeRouter({ winRate: () => 0.45 }) },
    before: { text: 'first', hints: { session_id: 's' } },
    decides: { text: 'next', hints: { session_id: 's' } },
  },
  sessions: {
    step: 'sessions',
    policy: `
default: weak
learned: {}
sessions: { cache_minutes: 5 }`,
    needs: {
      learned: fakeRouter({ winRate: () => 0.45 }),
      priceOf: (model) => (model === 'strong' ? { input: 3, output: 15 } : { input: 1, output: 5 }),
    },
    before: { text: 'first', hints: { session_id: 's' } },
    decides: { text: 'next', hints: { session_id: 's' } },
  },
  cache: {
    step: 'cache',
    policy: `
default: weak
learned: {}
cache: { minutes: 5 }`,
    before: { text: 'hello' },
    decides: { text: 'hello' },
  },
  'semantic guardrail': {
    step: 'guardrail',
    policy: `
default: weak
guardrails: [{ name: no-sums, near: sums, message: No sums. }]
semantic:
  encoder: use-lite
  routes:
    - { name: sums, examples: [a, b] }
    - { name: words, route: open, examples: [c, d] }`,
    needs: { semantic },
    decides: { text: 'what is 1 + 1?' },
    refuses: true,
  },
  learned: {
    step: 'learned',
    policy: `
default: weak
learned: {}`,
    decides: { text: 'hello' },
  },
  default: { step: 'default', policy: 'default: both', decides: { text: 'hello' } },
  fallback: { step: 'fallback', policy: 'default: both', decides: { text: 'hello' } },
}

for (const [name, given] of Object.entries(CASES)) describeStepContract(name, given)

it('every step of the registry is held to the contract', () => {
  const held = new Set(Object.values(CASES).map(({ step }) => step))
  expect(STEP_NAMES.filter((name) => !held.has(name))).toEqual([])
})
