import { expect, test } from 'vitest'
import { Decision, Explanation, Neighbour, RuleHit } from '../../models/decision/decision.ts'
import { decisionJson } from '../../serving/server/decision-json.ts'

const whole: Decision = {
  id: 'an "odd" id',
  object: 'routing.decision',
  created: 1_700_000_000,
  router: { name: 'r\n', version: '0123' },
  model: 'vendor/\u2028model',
  win_rate: 0.1 + 0.2,
  threshold: 1e-7,
  calibrated: true,
  candidates: [
    {
      model: 'vendor/\u2028model',
      score: 1,
      eligible: true,
      reason: 'chosen',
      est_cost_usd: 1e-9,
      propensity: 0.9,
    },
    {
      model: 'b',
      score: 0,
      eligible: false,
      reason: 'not_allowed',
      est_cost_usd: null,
      propensity: 0.1,
    },
  ],
  choice: { kind: 'best-value', lambda: 12.5 },
  reason: 'fallback',
  fallback: true,
  fallback_reason: 'deadline',
  propensity: 0.9,
  timing_ms: 0.061,
  truncated: false,
  ood: 0.25,
  audit: true,
  explanation: {
    features: [{ name: '"word"', contribution: -0.25 }],
    neighbours: [
      {
        prompt_hash: '414bc377ac4c9bfc',
        similarity: 0.5,
        weight: 0.25,
        win_rate: 1,
        strong: 1,
        weak: 0,
        text: 'a "text"\n',
      },
    ],
    neighbourhood: {
      win_rate: 0.7,
      others: { count: 3, weight: 0.5, win_rate: 0.6 },
      prior: { weight: 0.25, win_rate: 0.6 },
    },
    note: 'odd',
    signed_by: 'ed25519:A',
    read: 'what "was" read',
    observational: 'trained where "one" model answered',
    rules: [{ step: 'rule', name: 'code', matched: true, reason: 'matched' }],
    flip: { threshold: 0.3, when: 'above', model: 'b' },
  },
}

test('a decision by hand is the decision JSON would write, every field of its schema', () => {
  expect(Object.keys(whole).sort()).toEqual(Object.keys(Decision.properties).sort())
  const explained = whole.explanation!
  expect(Object.keys(explained).sort()).toEqual(Object.keys(Explanation.properties).sort())
  const neighbour = explained.neighbours![0]!
  expect(Object.keys(neighbour).sort()).toEqual(Object.keys(Neighbour.properties).sort())
  expect(Object.keys(explained.rules![0]!).sort()).toEqual(Object.keys(RuleHit.properties).sort())
  expect(JSON.parse(decisionJson(whole))).toEqual(whole)
})

test('fields that are absent or null stay so', () => {
  const { audit: _, explanation: __, ...least } = whole
  const empty = { ...least, win_rate: null, fallback_reason: null, candidates: [] }
  expect(JSON.parse(decisionJson(empty))).toEqual(empty)
})
