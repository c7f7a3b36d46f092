import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { installed, isAccepted } from '../../scripts/dependencies.ts'

test('every package that users install has an accepted licence', () => {
  const packages = installed(resolve(import.meta.dirname, '../..'))
  expect(packages.map(({ name }) => name)).toEqual(expect.arrayContaining(['fastify', 'undici']))
  expect(packages.filter(({ licence }) => !isAccepted(licence))).toEqual([])
})

test('one accepted alternative is enough, and every part of it must be', () => {
  expect(isAccepted('(MIT OR GPL-3.0)')).toBe(true)
  expect(isAccepted('MIT AND GPL-3.0')).toBe(false)
  for (const licence of ['GPL-3.0', 'AGPL-3.0-only', 'none stated', 'SEE LICENSE IN X']) {
    expect(isAccepted(licence), licence).toBe(false)
  }
})
