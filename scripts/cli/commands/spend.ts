import { Command } from 'commander'
import { WeirError } from '../../../core/errors.ts'
import { count, openTerminal, table } from '../../terminal/terminal.ts'

interface SpendFlags {
  readonly by: string
  readonly from?: string
  readonly to?: string
  readonly json?: boolean
}

/** `weir spend <folder>`: what a gateway has spent and saved. */
export function spendCommand(): Command {
  return new Command('spend')
    .description(
      'sum what a gateway spent and saved by key, route, model or day, and show its budgets',
    )
    .argument('<folder>', 'the server’s log folder, or gateway.spend.folder')
    .option('--by <what>', 'what to group by: key, route, model or day', 'day')
    .option('--from <day>', 'first day of UTC, such as 2026-11-01')
    .option('--to <day>', 'last day of UTC')
    .option('--json', 'print the sums as one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  weir spend logs --by key\n  weir spend logs --by model --from 2026-11-01',
    )
    .action(run)
}

async function run(path: string, flags: SpendFlags): Promise<void> {
  const { choiceOption } = await import('../options.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { readJournal } = await import('../../../serving/budgets/journal.ts')
  const { dollarsOf } = await import('../../../serving/budgets/units.ts')
  const { readSpend, spendFolder } = await import('../../../serving/budgets/spend.ts')
  const { SPEND_GROUPS, SpendTable, addSums, noSums } = await import(
    '../../../serving/budgets/spend.ts'
  )
  const terminal = openTerminal()
  const by = choiceOption('--by', flags.by, SPEND_GROUPS)
  const from = dayOption('--from', flags.from)
  const to = dayOption('--to', flags.to)
  const folder = await spendFolder(path)
  const spending = new SpendTable()
  const stats = { torn: 0 }
  let read = 0
  const days = { ...(from ? { from } : {}), ...(to ? { to } : {}) }
  for await (const line of readSpend(folder, stats, days, interruptSignal())) {
    spending.add(line)
    if (++read % 10_000 === 0) terminal.onProgress({ stage: 'reading', done: read })
  }
  terminal.endProgress()
  const rows = spending.by(by)
  const total = noSums()
  for (const row of rows) addSums(total, row)
  const { balances, open } = readJournal(folder).state
  const budgets = Object.entries(balances).map(([name, { period, spent }]) => ({
    name,
    period,
    spent_usd: dollarsOf(spent),
    // reserved by attempts under way; after a crash, what the next start counts as spent
    open_usd: dollarsOf(
      Object.values(open)
        .filter(({ periods }) => periods[name] === period)
        .reduce((sum, { nanos }) => sum + nanos, 0),
    ),
  }))
  if (stats.torn > 0) terminal.note(`${stats.torn} lines were cut off by a crash and are left out`)
  if (flags.json) {
    terminal.json({ by, rows, total, budgets, torn: stats.torn })
    return
  }
  const shown = (name: string, sums: typeof total): string[] => [
    name,
    count(sums.requests),
    count(sums.input_tokens),
    count(sums.output_tokens),
    dollars(sums.cost_usd),
    dollars(sums.saved_usd),
    count(sums.uncounted),
  ]
  const head = [
    by,
    'requests',
    'input tokens',
    'output tokens',
    'cost USD',
    'saved USD',
    'uncounted',
  ]
  const body = rows.map((row) => shown(row.name, row))
  terminal.print(table([head, ...body, ...(rows.length > 1 ? [shown('all', total)] : [])]))
  if (budgets.length === 0) return
  terminal.print('')
  terminal.print(
    table([
      ['budget', 'period', 'spent USD', 'open USD'],
      ...budgets.map(({ name, period, spent_usd, open_usd }) => [
        name,
        period,
        dollars(spent_usd),
        dollars(open_usd),
      ]),
    ]),
  )
}

/** Two decimals from a dollar on, else four. */
const dollars = (value: number): string => value.toFixed(Math.abs(value) >= 1 ? 2 : 4)

function dayOption(option: string, value: string | undefined): string | undefined {
  if (value === undefined || /^\d{4}-\d\d-\d\d$/.test(value)) return value
  throw new WeirError('option_invalid', {
    option,
    expected: 'a day such as 2026-11-21',
    got: value,
  })
}
