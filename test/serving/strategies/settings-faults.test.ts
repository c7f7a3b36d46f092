import { expect, test } from 'vitest'
import { checkPolicy } from '../../../serving/policy/check.ts'

const policy = (strategy: string): string => `
version: 1
models: { small: {}, big: {} }
routes:
  both:
    models: [small, big]
    strategy:
      ${strategy.trim().split('\n').join('\n      ')}
default: both
`
const check = (strategy: string) => () => checkPolicy(policy(strategy), 'p.yaml')
const cascade = (checks: string): string =>
  `kind: cascade\nchecks:\n  ${checks.split('\n').join('\n  ')}`

const FAULTS: [string, string, string][] = [
  [
    'a kind that is none',
    'kind: cascad',
    'p.yaml:8: routes.both.strategy.kind: expected one of cascade, ensemble, got cascad',
  ],
  [
    'no checks',
    'kind: cascade',
    'p.yaml:7: routes.both.strategy.checks: expected a value, got nothing',
  ],
  [
    'a check that is none',
    cascade('- { kind: logprob, threshold: 0.5 }\n- { kind: vibes }'),
    'p.yaml:11: routes.both.strategy.checks.1.kind: expected one of logprob, self_consistency, json_schema, regex, judge, length, finish_reason, got vibes',
  ],
  [
    'a threshold past its end',
    cascade('- kind: logprob\n  threshold: 1.5'),
    'p.yaml:11: routes.both.strategy.checks.0.threshold: expected <= 1, got 1.5',
  ],
  [
    'a setting that is none',
    cascade('- { kind: length, minimum: 3 }'),
    'p.yaml:10: routes.both.strategy.checks.0.minimum: expected no such field',
  ],
  [
    'a length without ends',
    cascade('- { kind: length }'),
    'p.yaml:10: routes.both.strategy.checks.0: expected min, max or both, got neither',
  ],
  [
    'a pattern that is none',
    cascade('- { kind: regex, pattern: "(?=x)" }'),
    'p.yaml:10: routes.both.strategy.checks.0.pattern: expected an RE2 pattern',
  ],
  [
    'a judge that is no model',
    cascade('- { kind: judge, judge: { model: huge }, threshold: 0.5 }'),
    'p.yaml:10: routes.both.strategy.checks.0.judge.model: expected one of small, big, got huge',
  ],
  [
    'answers of no model',
    cascade('- { kind: finish_reason, models: [smal] }'),
    'p.yaml:10: routes.both.strategy.checks.0.models.0: expected one of small, big, got smal',
  ],
  [
    'two checks of one name',
    cascade('- { kind: finish_reason }\n- { kind: finish_reason }'),
    'p.yaml:11: routes.both.strategy.checks.1.name: expected a name of its own, got finish_reason',
  ],
  [
    'a schema that is none',
    cascade('- kind: json_schema\n  schema: { properties: { a: { type: int } } }'),
    'p.yaml:11: routes.both.strategy.checks.0.schema.properties.a.type: expected',
  ],
  [
    'a schema with patterns',
    cascade('- kind: json_schema\n  schema: { properties: { a: { pattern: "(a+)+$" } } }'),
    'p.yaml:11: routes.both.strategy.checks.0.schema: expected no patterns',
  ],
  [
    'no mode',
    'kind: ensemble',
    'p.yaml:7: routes.both.strategy.mode: expected one of majority, best_of, first_good, got nothing',
  ],
  [
    'a setting of another mode',
    'kind: ensemble\nmode: majority\njudge: { model: big }',
    'p.yaml:10: routes.both.strategy.judge: expected no such field',
  ],
  [
    'no judge',
    'kind: ensemble\nmode: best_of',
    'p.yaml:7: routes.both.strategy.judge: expected a value',
  ],
  [
    'a vote by a pattern that is none',
    'kind: ensemble\nmode: majority\npattern: "("',
    'p.yaml:10: routes.both.strategy.pattern: expected an RE2 pattern',
  ],
  [
    'checks of a race',
    'kind: ensemble\nmode: first_good\nchecks: [{ kind: length }]',
    'p.yaml:10: routes.both.strategy.checks.0: expected min, max or both',
  ],
]
for (const [name, strategy, message] of FAULTS) {
  test(`${name}: refused with its line`, () => expect(check(strategy)).toThrow(message))
}

test('what is right is taken', () => {
  expect(
    check(
      cascade(
        '- { kind: logprob, threshold: 0.5, models: [small] }\n- { kind: logprob, name: other, threshold: 0.4 }',
      ),
    ),
  ).not.toThrow()
  expect(
    check('kind: ensemble\nmode: majority\nsamples: 3\ntemperature: 1\nquorum: 2'),
  ).not.toThrow()
})

test('what the learned router picks may be checked by a cascade, and by nothing else', () => {
  const learned = (strategy: string) => () =>
    checkPolicy(
      `version: 1\nmodels: { a: {}, b: {} }\nlearned:\n  strategy: ${strategy}\ndefault: a\n`,
      'p.yaml',
    )
  expect(learned('{ kind: cascade, checks: [{ kind: finish_reason }] }')).not.toThrow()
  expect(learned('{ kind: ensemble, mode: majority }')).toThrow(
    'p.yaml:4: learned.strategy.kind: expected cascade, got ensemble',
  )
  expect(learned('{ kind: cascade, checks: [{ kind: length }] }')).toThrow(
    'p.yaml:4: learned.strategy.checks.0: expected min, max or both',
  )
})
