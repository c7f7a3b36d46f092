import { definedOnly } from '../../../core/defined.ts'
import { WeirError } from '../../../core/errors.ts'
import type { SpendGroup } from '../../../serving/budgets/spend.ts'
import { count, openTerminal, table } from '../../terminal/terminal.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import { type Flags, oneOf, optionTable, Text } from '../options.ts'

const isDay = (option: string) => (text: string) => {
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return
  const expected = 'a day such as 2026-11-21'
  throw new WeirError('option_invalid', { option, expected, got: text })
}

const OPTIONS = optionTable({
  by: {
    flag: '--by <what>',
    schema: oneOf(['key', 'route', 'model', 'day'] satisfies readonly SpendGroup[]),
    default: 'day',
    help: 'what to sum by: key, route, model or day',
  },
  from: {
    flag: '--from <day>',
    schema: Text,
    help: 'first day, in UTC, such as 2026-11-01',
    check: isDay('--from'),
  },
  to: { flag: '--to <day>', schema: Text, help: 'last day, in UTC', check: isDay('--to') },
  json: jsonOption('the sums'),
})

/** `weir spend <place>`: what a gateway has spent and saved. */
export const spendCommand = defineCommand({
  name: 'spend',
  description: 'sum what a gateway spent and saved, by key, route, model or day; and its budgets',
  arguments: [
    ['<place>', 'the log folder, gateway.spend.folder, or the postgres://... of several servers'],
  ],
  options: OPTIONS,
  examples: [
    'weir spend logs --by key',
    'weir spend logs --by model --from 2026-11-01',
    'weir spend postgres://weir@db/weir --by key',
  ],
  run,
})

async function run(path: string, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { localBalances } = await import('../../../serving/budgets/journal.ts')
  const { readSpend, spendFolder } = await import('../../../serving/budgets/spend.ts')
  const { SpendTable, addSums, noSums } = await import('../../../serving/budgets/spend.ts')
  const terminal = openTerminal()
  const { by, from, to } = flags
  const { readSharedSpend, sharedBalances } = await import(
    '../../../serving/budgets/shared-spend.ts'
  )
  const { isPostgresUrl } = await import('../../../records/postgres.ts')
  const shared = isPostgresUrl(path)
  const folder = shared ? path : await spendFolder(path)
  const spending = new SpendTable()
  const stats = { torn: 0 }
  let read = 0
  const days = definedOnly({ from, to })
  const signal = interruptSignal()
  const lines = shared
    ? readSharedSpend(path, days, signal)
    : readSpend(folder, stats, days, signal)
  for await (const line of lines) {
    spending.add(line)
    if (++read % 10_000 === 0) terminal.onProgress({ stage: 'reading', done: read })
  }
  terminal.endProgress()
  const rows = spending.by(by)
  const total = noSums()
  for (const row of rows) addSums(total, row)
  const budgets = shared ? await sharedBalances(path) : localBalances(folder)
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

/** Two decimals from one dollar up, else four. */
const dollars = (value: number): string => value.toFixed(Math.abs(value) >= 1 ? 2 : 4)
