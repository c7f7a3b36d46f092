import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { COMMANDS } from '../../scripts/cli/commands/index.ts'

const commands: Command[] = []
for (const make of COMMANDS) commands.push(await make())
const leaves = commands.flatMap((command) =>
  command.commands.length > 0 ? [...command.commands] : [command],
)

/** What `--help` prints, the added text included. */
function help(command: Command): string {
  const parts: string[] = []
  command.configureOutput({ writeOut: (part) => void parts.push(part) })
  command.outputHelp()
  return parts.join('')
}

describe('every command', () => {
  for (const command of leaves) {
    it(`${command.name()} has a description and an example in its help`, () => {
      expect(command.description()).not.toBe('')
      const text = help(command)
      expect(text).toMatch(/Examples?:\n/)
      expect(text).toMatch(new RegExp(`weir .*${command.name()}`))
    })

    it(`${command.name()} has --json, and a sentence on each option`, () => {
      expect(command.options.map((option) => option.long)).toContain('--json')
      for (const option of command.options) expect(option.description).not.toBe('')
    })
  }

  it('has its own name', () => {
    const names = commands.map((command) => command.name())
    expect(new Set(names).size).toBe(names.length)
  })
})
