import { afterAll, expect } from 'vitest'

/** A warning of Node's own (a leaked listener, a deprecated call) fails the file that caused it. */
const warnings: string[] = []
process.on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning') warnings.push(`${warning.name}: ${warning.message}`)
})

afterAll(() => {
  expect(warnings).toEqual([])
})
