import { RunningMean } from '../../../core/stats/running-mean.ts'
import { addSums, noSums, type SpendGroup, type SpendRow, SpendTable } from '../../budgets/spend.ts'
import { SHADOW_STEP } from '../../judging/shadow-answers.ts'
import type { Services } from '../services.ts'
import type { Answered } from './contract.ts'
import type { Traffic } from './traffic.ts'

const ROWS = 500

/** What was spent and saved, from what the server counts anyway. */
export async function money(
  { budgets }: Services,
  traffic: Traffic,
  by: SpendGroup,
): Promise<Answered<'money'>> {
  const { since, cells, budgets: states } = await budgets!.report()
  const table = new SpendTable()
  table.merge(cells)
  const rows = table.by(by)
  const sums = noSums()
  for (const row of rows) addSums(sums, row)
  const { outcomes } = traffic
  const row = ({ attempts: _, cached_tokens: __, ...known }: SpendRow, saved?: RunningMean) => ({
    ...known,
    saved_each: figure(saved),
  })
  const { minutes, now } = traffic.counts()
  return {
    ...{ since, now },
    rows: rows.slice(0, ROWS).map((one) => row(one, outcomes.savedOf(by, one.name))),
    total: row({ name: 'all', ...sums }, outcomes.saved),
    shadow_usd: table.by('route').find(({ name }) => name === SHADOW_STEP)?.cost_usd ?? 0,
    minutes: minutes.map(({ time, cost_usd, saved_usd }) => ({ time, cost_usd, saved_usd })),
    budgets: states.map(({ name, usd, per, period, spent_usd, held_usd, refused }) => ({
      ...{ name, usd, per, period, spent_usd, held_usd, refused },
    })),
  }
}

/** A mean as the console's answers have it. */
export const figure = (
  mean: RunningMean = new RunningMean(),
): Answered<'money'>['total']['saved_each'] => ({ n: mean.n, ...mean.interval })
