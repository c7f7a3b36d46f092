import { afterAll, expect } from 'vitest'

/** A warning of Node's own (a leaked listener, a deprecated call) fails the file that caused it. */
const warnings: string[] = []
const note = (warning: Error): void => {
  if (warning.name !== 'ExperimentalWarning') warnings.push(`${warning.name}: ${warning.message}`)
}
process.on('warning', note)

afterAll(() => {
  process.off('warning', note)
  expect(warnings).toEqual([])
})
