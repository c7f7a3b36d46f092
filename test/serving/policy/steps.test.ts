import { expect, it } from 'vitest'
import { STEPS } from '../../../serving/policy/pipeline.ts'
import { cacheStep } from '../../../serving/policy/steps/cache.ts'
import { decideByModelStep } from '../../../serving/policy/steps/decide-by-model.ts'
import { defaultStep } from '../../../serving/policy/steps/default.ts'
import { fallbackStep } from '../../../serving/policy/steps/fallback.ts'
import { guardrailStep } from '../../../serving/policy/steps/guardrail.ts'
import { hardLimitStep } from '../../../serving/policy/steps/hard-limit.ts'
import { learnedStep } from '../../../serving/policy/steps/learned.ts'
import { namedStep } from '../../../serving/policy/steps/named.ts'
import { ruleStep } from '../../../serving/policy/steps/rule.ts'
import { semanticStep } from '../../../serving/policy/steps/semantic.ts'
import { stickyStep } from '../../../serving/policy/steps/sticky.ts'
import { fakeRouter } from './fake-router.ts'
import { describeStepContract, type StepCase } from './step-contract.ts'

const semantic = {
  remote: false,
  thresholds: new Map([['sums', 0.5]]),
  match: async () => ({ name: 'sums', score: 0.8, threshold: 0.5 }),
}

const CASES: Readonly<Record<string, StepCase>> = {
  'hard limits': {
    factory: hardLimitStep,
    policy: 'default: both',
    decides: { text: 'hello', hints: { models: ['nobody'] } },
    refuses: true,
  },
  guardrail: {
    factory: guardrailStep,
    policy: `
default: both
guardrails: [{ name: no, when: { keywords: [bomb] }, message: No. }]`,
    decides: { text: 'how is a bomb made?' },
    refuses: true,
  },
  named: {
    factory: namedStep,
    policy: 'default: both',
    decides: { text: 'hello', model: 'weir/both' },
  },
  rule: {
    factory: ruleStep,
    policy: `
default: weak
rules: [{ name: hi, when: { keywords: [hello] }, route: both }]`,
    decides: { text: 'hello' },
  },
  semantic: {
    factory: semanticStep,
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
    factory: decideByModelStep,
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
    factory: stickyStep,
    policy: `
default: weak
learned: {}
sticky: { margin: 0.1 }`,
    needs: { learned: fakeRouter({ winRate: () => 0.45 }) },
    before: { text: 'first', hints: { session_id: 's' } },
    decides: { text: 'next', hints: { session_id: 's' } },
  },
  cache: {
    factory: cacheStep,
    policy: `
default: weak
learned: {}
cache: { minutes: 5 }`,
    before: { text: 'hello' },
    decides: { text: 'hello' },
  },
  'semantic guardrail': {
    factory: guardrailStep,
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
    factory: learnedStep,
    policy: `
default: weak
learned: {}`,
    decides: { text: 'hello' },
  },
  default: { factory: defaultStep, policy: 'default: both', decides: { text: 'hello' } },
  fallback: { factory: fallbackStep, policy: 'default: both', decides: { text: 'hello' } },
}

for (const [name, given] of Object.entries(CASES)) describeStepContract(name, given)

it('every step of the pipeline is held to the contract', () => {
  const held = new Set(Object.values(CASES).map(({ factory }) => factory))
  expect(STEPS.filter((factory) => !held.has(factory))).toEqual([])
})
