import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { WeirError } from '../../core/errors.ts'
import { fileSystemError } from '../../core/files.ts'
import { openTerminal } from '../terminal/terminal.ts'
import { COMMANDS } from './commands/index.ts'

/** Runs the `weir` command: parses the arguments and runs the subcommand's function. Resolves to its exit code. */
export async function runWeir(argv: readonly string[]): Promise<number> {
  const program = new Command('weir')
    .description('Learned LLM routers: train on your preference logs, calibrate, serve.')
    .version(packageVersion())
    .showHelpAfterError('(weir --help lists the commands)')
    .addHelpText(
      'after',
      '\nExample:\n  weir train logs.jsonl --strong gpt-4-1106-preview --weak mixtral-8x7b',
    )
  // the others matter only for --help and for errors
  const named = COMMANDS[argv[0] ?? '']
  for (const load of named ? [named] : Object.values(COMMANDS)) program.addCommand(await load())
  for (const command of [
    program,
    ...program.commands,
    ...program.commands.flatMap((c) => c.commands),
  ]) {
    command.exitOverride()
    // what was typed, or put into a script by somebody else, is repeated in these messages
    command.configureOutput({ writeErr: (text) => openTerminal().note(text.trimEnd()) })
  }
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return typeof process.exitCode === 'number' ? process.exitCode : 0
  } catch (error) {
    return report(error, argv.includes('--json'))
  }
}

/** @param asJson whether the reader of standard output expects JSON */
function report(thrown: unknown, asJson: boolean): number {
  // commander has already printed its message
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2
  const { json, note } = openTerminal()
  const error = fileSystemError(thrown) ?? thrown
  if (error instanceof WeirError) {
    const { code, message } = error
    if (asJson) json({ error: { code, message } })
    note(`error: ${message} [${code}]`)
    return error.exitCode
  }
  note(
    `This is a bug in weir, not in what you gave it:\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  )
  return 70
}

function packageVersion(): string {
  const require = createRequire(import.meta.url)
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      return (require(path) as { version: string }).version
    } catch {
      // the build is one folder deeper than the source
    }
  }
  return 'unknown'
}
