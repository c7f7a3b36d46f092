import { expect, it } from 'vitest'
import { parseSource } from '../../core/yaml-source.ts'

it.each([
  ['a: 1'.padEnd(1_000_001), 'expected a server config of at most 1000000 characters'],
  ['a: [', 'expected a server config in YAML or JSON'],
  ['a: *missing', 'expected a server config'],
])('an error says what kind of file it is (%#)', (text, message) => {
  expect(() => parseSource(text, 'weir.yaml', 'a server config')).toThrow(message)
})
