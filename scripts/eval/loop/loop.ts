import { parseArgs } from 'node:util'
import { openTerminal, table as rowsTable, score } from '../../terminal/terminal.ts'
import { simulateAlarm } from './alarm.ts'
import { simulateMonth } from './month.ts'
import { mean, simulateOpe } from './ope.ts'
import { simulatePacing } from './pacing.ts'
import { loopTable } from './routers.ts'

/**
 * `npm run eval:loop`: the learning loop compared with true values, on MMLU's outcome table: off-policy
 * evaluation, alarms, pacing, and a month of retraining and promotion.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '400' },
    months: { type: 'string', default: '10' },
  },
})
const seed = Number(options.seed)
const runs = Number(options.runs)
const terminal = openTerminal()

const table = await loopTable(seed, (stage) => terminal.note(stage))
terminal.note('off-policy evaluation')
const ope = simulateOpe(table, { seed, runs, rows: 3000, epsilon: 0.05 })
terminal.note('alarms')
const alarm = simulateAlarm(mean(table.weak), { seed, runs, referenceRows: 5000 })
terminal.note('pacing')
const pacing = simulatePacing(table, seed)
terminal.note('months')
const months = Array.from({ length: Number(options.months) }, (_, i) =>
  simulateMonth(table, seed + i),
)
const average = (name: 'frozen' | 'loop' | 'oracle'): number =>
  months.reduce((sum, month) => sum + month.net[name] / months.length, 0)
const figures = {
  ope_rmse: ope.rmse.robust,
  ope_rmse_population: ope.population.robust,
  ope_coverage: ope.coverage,
  ope_best_picked: ope.picked,
  ope_best_picked_net: ope.pickedNet,
  detection_vs_optimal: alarm.optimalDelay / alarm.delay,
  false_alarms_per_10k: alarm.falsePer10k,
  delay_10_points: alarm.delayOfTen,
  pacing_overshoot: pacing.overshoot,
  month_promotions: months.reduce((sum, month) => sum + month.promotions, 0),
  month_worse_promotions: months.reduce((sum, month) => sum + month.worse, 0),
  month_loop_over_frozen: average('loop') - average('frozen'),
  month_oracle_over_loop: average('oracle') - average('loop'),
}
if (options.json) terminal.json({ source: table.source, ope, alarm, pacing, months, figures })
else {
  const four = (x: number): string => x.toFixed(4)
  terminal.print(
    rowsTable([
      ['root mean squared error', 'naive', 'SNIPS', 'doubly robust'],
      ['of the logged requests', four(ope.rmse.naive), four(ope.rmse.snips), four(ope.rmse.robust)],
      [
        'of all prompts',
        four(ope.population.naive),
        four(ope.population.snips),
        four(ope.population.robust),
      ],
    ]),
  )
  terminal.print(
    `\nAfter a 5-point fall: alarm in ${alarm.delay.toFixed(0)} audited requests, the optimal CUSUM told both rates in ${alarm.optimalDelay.toFixed(0)} (10 points: ${alarm.delayOfTen.toFixed(0)})\n`,
  )
  terminal.print(
    rowsTable([
      ['budget for strong', 'spent', 'quality', 'coin'],
      ...pacing.rows.map((row) => [
        score(row.share),
        four(row.spent),
        score(row.quality),
        score(row.random),
      ]),
    ]),
  )
  terminal.print('')
  terminal.print(
    rowsTable([
      ['week', 'promoted', 'frozen', 'loop', 'oracle', 'strong, frozen', 'strong, loop'],
      ...months[0]!.weeks.map(({ week, promoted, net, strong }) => [
        String(week),
        promoted ? 'yes' : 'no',
        score(net.frozen),
        score(net.loop),
        score(net.oracle),
        score(strong.frozen),
        score(strong.loop),
      ]),
    ]),
  )
  terminal.print('')
  terminal.print(
    rowsTable([
      ['figure', 'value'],
      ...Object.entries(figures).map(([name, value]) => [name, four(value)]),
    ]),
  )
}
