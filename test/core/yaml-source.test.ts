import { expect, it } from 'vitest'
import { changedYaml, fieldKeys, parseSource } from '../../core/yaml-source.ts'

it.each([
  ['a: 1'.padEnd(1_000_001), 'expected a server config of at most 1000000 characters'],
  ['a: [', 'expected a server config in YAML or JSON'],
  ['a: *missing', 'expected a server config'],
])('an error says what kind of file it is (%#)', (text, message) => {
  expect(() => parseSource(text, 'weir.yaml', 'a server config')).toThrow(message)
})

it.each([
  ['models.gpt-4.1.upstreams[0].model', ['models', 'gpt-4.1', 'upstreams', '0', 'model']],
  ['models.gpt-4.price', ['models', 'gpt-4', 'price']],
  ['models.other.price', ['models', 'other', 'price']],
  ['models', ['models']],
  ['', []],
  ['[x', ['[x']],
])('the keys of %j, where names hold dots', (field, keys) => {
  const model = { upstreams: [{ model: 'm' }] }
  expect(fieldKeys({ models: { 'gpt-4': model, 'gpt-4.1': model } }, field)).toEqual(keys)
})

it.each([
  [
    'a: 1 # kept\nsessions: { x: 1 }\n',
    'a: 1 # kept\nsessions: { x: 1, stuck: { s: 0.2 }, loss: 0 }\n',
  ],
  ['# kept\na: 1\nsessions:\n', '# kept\na: 1\nsessions:\n  stuck:\n    s: 0.2\n  loss: 0\n'],
  ['a: 1\n', 'a: 1\nsessions:\n  stuck:\n    s: 0.2\n  loss: 0\n'],
])('values are set in a text, whose comments stay (%#)', (text, changed) => {
  const changes = [
    [['sessions', 'stuck', 's'], 0.2],
    [['sessions', 'loss'], 0],
  ] as const
  expect(changedYaml(text, changes)).toBe(changed)
  const json = changedYaml('{"a": 1, "sessions": {"stuck": {"s": 1}}}', changes)
  expect(JSON.parse(json)).toEqual({ a: 1, sessions: { stuck: { s: 0.2 }, loss: 0 } })
})
