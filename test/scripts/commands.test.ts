import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { TSchema } from 'typebox'
import { describe, expect, it } from 'vitest'
import { SpecCommand } from '../../scripts/cli/command.ts'
import { COMMANDS } from '../../scripts/cli/commands/index.ts'
import { CLI_PAGE, cliPage } from '../../scripts/cli/docs.ts'
import type { OptionRow } from '../../scripts/cli/options.ts'
import { SERVE_OPTIONS } from '../../scripts/cli/serve-config.ts'
import { ServeConfig } from '../../serving/server/config.ts'

const commands: Command[] = []
for (const make of Object.values(COMMANDS)) commands.push(await make())
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

  it('is loaded by its own name', async () => {
    for (const [name, load] of Object.entries(COMMANDS)) expect((await load()).name()).toBe(name)
  })

  it('has its own name', () => {
    const names = commands.map((command) => command.name())
    expect(new Set(names).size).toBe(names.length)
  })
})

describe('the option tables', () => {
  it.each(leaves)('name each option as commander does: $_name', (command) => {
    expect(command).toBeInstanceOf(SpecCommand)
    const names = Object.keys((command as SpecCommand).spec.options)
    expect(command.options.map((option) => option.attributeName())).toEqual(names)
  })

  it('of weir serve only name keys of the configuration', () => {
    for (const { key } of Object.values<OptionRow>(SERVE_OPTIONS)) {
      let at: TSchema | undefined = key === undefined ? undefined : ServeConfig
      for (const part of key?.split('.') ?? []) {
        at = (at as { properties?: Record<string, TSchema> } | undefined)?.properties?.[part]
        expect(at, key).toBeDefined()
      }
    }
  })

  it('are what docs/reference/cli.md says (npm run docs:cli writes it)', async () => {
    expect(await readFile(CLI_PAGE, 'utf8')).toBe(await cliPage())
  })
})
