import { openTerminal, table } from '../../../terminal/terminal.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption } from '../../log-options.ts'
import { type Flags, optionTable } from '../../options.ts'

const OPTIONS = optionTable({ json: jsonOption('the events') })

/** `weir history <bundle>`: what was promoted, refused and rolled back, and why. */
export const historyCommand = defineCommand({
  name: 'history',
  description: 'list promotions, refusals, alarms and rollbacks of a bundle',
  arguments: [['<bundle>', 'the NAME folder, such as bundles/demo']],
  options: OPTIONS,
  examples: ['weir history bundles/demo'],
  run,
})

async function run(home: string, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { WeirError } = await import('../../../../core/errors.ts')
  const { readHistory } = await import('../../../../records/rollout.ts')
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
