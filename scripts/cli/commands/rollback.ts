import { Command } from 'commander'
import { openTerminal } from '../../terminal/terminal.ts'

interface RollbackFlags {
  readonly to?: string
  readonly online?: string
  readonly reason?: string
  readonly json?: boolean
}

/** `weir rollback <bundle>`: takes back what is on its way, or the last promotion. */
export function rollbackCommand(): Command {
  return new Command('rollback')
    .description('take back a shadow or canary, or the last promotion')
    .argument('<bundle>', 'the NAME folder, such as bundles/demo')
    .option('--to <version>', 'a kept version, instead of the one that served before')
    .option('--online <folder>', 'take back the newest state of its online head there instead')
    .option('--reason <text>', 'kept in the history')
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', '\nExample:\n  weir rollback bundles/demo --reason "more complaints"')
    .action(run)
}

async function run(home: string, flags: RollbackFlags): Promise<void> {
  if (flags.online !== undefined) {
    await takeBackState(home, flags.online, flags)
    return
  }
  const { rollBack } = await import('../../../training/loop/promote.ts')
  const terminal = openTerminal()
  const { from, to, stage } = await rollBack(home, {
    ...(flags.to === undefined ? {} : { version: flags.to }),
    ...(flags.reason === undefined ? {} : { reason: flags.reason }),
  })
  if (flags.json) terminal.json({ from, to, stage })
  else if (stage === 'all') terminal.print(`${to} serves again, in place of ${from}`)
  else terminal.print(`${from} is no ${stage} any more; ${to} serves`)
}

async function takeBackState(home: string, folder: string, flags: RollbackFlags): Promise<void> {
  const { WeirError } = await import('../../../core/errors.ts')
  if (flags.to !== undefined) {
    const expected = 'none beside --online'
    throw new WeirError('option_invalid', { option: '--to', expected, got: flags.to })
  }
  const { takeBackOnline } = await import('../../../training/loop/online-state.ts')
  const terminal = openTerminal()
  const { version, from, to } = await takeBackOnline(
    home,
    folder,
    flags.reason === undefined ? {} : { reason: flags.reason },
  )
  if (flags.json) terminal.json({ version, from, to })
  else {
    const now = to === 0 ? 'the router itself' : `state ${to}`
    terminal.print(`${version} goes on from ${now}; state ${from} of its online head is gone`)
  }
}
