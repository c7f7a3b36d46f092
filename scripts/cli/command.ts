import { Command } from 'commander'
import { assertOutputs, commanderOption, type Flags, type OptionTable } from './options.ts'

/** `<bundle>`, `[set]` or `<logs...>` with a sentence about it. */
type Argument = readonly [name: string, help: string]

type ArgumentValue<Name extends string> = Name extends `${string}...${string}`
  ? readonly string[]
  : Name extends `[${string}`
    ? string | undefined
    : string

type ArgumentValues<Arguments extends readonly Argument[]> = {
  -readonly [I in keyof Arguments]: ArgumentValue<Arguments[I][0]>
}

/** A command: its arguments, its help, and the function that does the work, which is imported lazily. */
export interface CommandSpec<
  Arguments extends readonly Argument[] = readonly Argument[],
  Table extends OptionTable = OptionTable,
> {
  readonly name: string
  readonly description: string
  readonly arguments: Arguments
  readonly options: Table
  /** paragraphs below the options */
  readonly notes?: string
  /** whole command lines */
  readonly examples: readonly string[]
  readonly run: (
    ...given: [...ArgumentValues<Arguments>, Flags<Table>, Command]
  ) => Promise<void> | void
}

/** A commander command with the spec it was made from, for the docs. */
export class SpecCommand extends Command {
  readonly spec: Omit<CommandSpec, 'run'>

  constructor(spec: Omit<CommandSpec, 'run'>) {
    super(spec.name)
    this.spec = spec
    this.description(spec.description)
    // the help of the option states its default
    this.configureHelp({ optionDescription: (option) => option.description })
    for (const [name, help] of spec.arguments) this.argument(name, help)
    for (const row of Object.values(spec.options)) this.addOption(commanderOption(row))
    const heading = spec.examples.length > 1 ? 'Examples' : 'Example'
    const examples = spec.examples.map((example) => `\n  ${example}`).join('')
    this.addHelpText(
      'after',
      `${spec.notes === undefined ? '' : `\n${spec.notes}\n`}\n${heading}:${examples}`,
    )
  }
}

/** @returns a function that builds the command, so that each program and test gets a new one */
export function defineCommand<
  const Arguments extends readonly Argument[],
  const Table extends OptionTable,
>({ run, ...spec }: CommandSpec<Arguments, Table>): () => SpecCommand {
  return () => {
    const command = new SpecCommand(spec)
    // commander passes the arguments in the order of the spec, then the parsed flags
    command.action(async (...given: unknown[]) => {
      const flags = given[spec.arguments.length] as Readonly<Record<string, unknown>>
      await assertOutputs(spec.options, flags)
      await run(...(given as [...ArgumentValues<Arguments>, Flags<Table>, Command]))
    })
    return command
  }
}

/** A command with subcommands. */
export const defineGroup =
  (name: string, description: string, commands: readonly (() => Command)[]) => (): Command => {
    const group = new Command(name).description(description)
    for (const command of commands) group.addCommand(command())
    return group
  }
