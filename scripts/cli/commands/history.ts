import { Command } from 'commander'
import { openTerminal, table } from '../../terminal/terminal.ts'

/** `weir history <bundle>`: what was promoted, refused and rolled back, and why. */
export function historyCommand(): Command {
  return new Command('history')
    .description('list promotions, refusals, alarms and rollbacks of a bundle')
    .argument('<bundle>', 'the NAME folder, such as bundles/demo')
    .option('--json', 'print the events as one JSON object')
    .addHelpText('after', '\nExample:\n  weir history bundles/demo')
    .action(run)
}

async function run(home: string, flags: { readonly json?: boolean }): Promise<void> {
  const { WeirError } = await import('../../../core/errors.ts')
  const { readHistory } = await import('../../../records/rollout.ts')
  const terminal = openTerminal()
  const events = await readHistory(home)
  if (flags.json) {
    terminal.json({ events })
    return
  }
  if (events.length === 0) throw new WeirError('history_missing', { path: home })
  const rows = events.map(({ time, event, version, serving, reason, share, gates }) => [
    time.slice(0, 19),
    share === undefined ? event : `${event} ${share}`,
    version,
    serving,
    reason ?? gates?.at(-1)?.found ?? '',
  ])
  terminal.print(table([['time', 'event', 'version', 'served until then', 'why'], ...rows]))
}
