import type { JSX } from 'preact'
import { useCallback, useRef } from 'preact/hooks'
import type { Answered } from '../../serving/server/console/contract.ts'
import { compact, count, dateOf, dollars, duration, interval, percent } from '../format.ts'
import { replaceQuery, usePlace } from '../location.ts'
import { Bar } from '../parts/bar.tsx'
import { Card, Tag } from '../parts/card.tsx'
import { Chart } from '../parts/chart.tsx'
import { saveCsv, saveImage } from '../parts/download.ts'
import { Stat, Stats } from '../parts/stat.tsx'
import { Empty, WithData } from '../parts/states.tsx'
import { useRead } from '../state.ts'

type Money = Answered<'money'>

const GROUPS = ['key', 'route', 'model', 'day'] as const
type Group = (typeof GROUPS)[number]

export default function MoneyView(): JSX.Element {
  const { query } = usePlace()
  const by = GROUPS.find((group) => group === query.by) ?? 'key'
  const money = useRead('money', { by }, 5_000)
  return (
    <>
      <header class="page-head">
        <div>
          <h1>Money</h1>
          <p>What was spent, and what it would have been with the dearest model alone.</p>
        </div>
      </header>
      <WithData of={money}>{(data) => <Figures of={data} by={by} />}</WithData>
    </>
  )
}

/** Saved less what was paid to learn which answer is better. */
const netOf = ({ total, shadow_usd: shadow }: Money): number => total.saved_usd - shadow

const HOURS_A_MONTH = 730

function Figures({ of, by }: { readonly of: Money; readonly by: Group }): JSX.Element {
  const { total, since, now } = of
  const net = netOf(of)
  const whole = total.cost_usd + total.saved_usd
  const age = now - Date.parse(since)
  // requests a month at the rate so far; the interval is of what one saves, not of how many there will be
  const month = (total.saved_each.n / Math.max(age, 60_000)) * 3_600_000 * HOURS_A_MONTH
  const each = total.saved_each
  return (
    <>
      <Stats>
        <Stat name="Spent" value={dollars(total.cost_usd)}>
          {compact(total.requests)} requests in {duration(age)}
        </Stat>
        <Stat name="Saved, net" value={dollars(net)} tone={net > 0 ? 'good' : undefined}>
          {whole > 0 ? `${percent(net / whole, 0)} of ${dollars(whole)}` : 'of nothing yet'}
          {of.shadow_usd > 0 && `, after ${dollars(of.shadow_usd)} for shadow answers`}
        </Stat>
        <Stat
          name="Saved by 1,000 requests"
          value={each.value === null ? '–' : dollars(1000 * each.value)}
        >
          {interval(each, (value) => dollars(1000 * value))} 95% interval
        </Stat>
        <Stat
          name="A month at this rate"
          value={each.value === null ? '–' : dollars(month * each.value)}
        >
          {interval(each, (value) => dollars(month * value))} saved by {compact(Math.round(month))}{' '}
          requests
        </Stat>
      </Stats>
      {total.uncounted > 0 && (
        <p class="note note-warn">
          {count(total.uncounted)} attempts may have been billed without a known price or token
          count: what was spent is at least this.
        </p>
      )}
      <div class="grid">
        <SavingsLine of={of} />
        <Budgets of={of.budgets} />
        <Card
          title="Where it goes"
          wide
          more={`Since ${dateOf(Date.parse(since))}, when the server started. Earlier days: weir spend`}
          actions={
            <div class="row">
              <fieldset class="segments">
                <legend class="hidden">Summed by</legend>
                {GROUPS.map((group) => (
                  <label key={group}>
                    <input
                      type="radio"
                      name="by"
                      checked={by === group}
                      onChange={() => replaceQuery({ by: group })}
                    />
                    {group}
                  </label>
                ))}
              </fieldset>
              <button type="button" class="button" onClick={() => saveRows(of, by)}>
                CSV
              </button>
            </div>
          }
        >
          <Rows of={of} by={by} />
        </Card>
      </div>
    </>
  )
}

function saveRows({ rows, total }: Money, by: Group): void {
  saveCsv(`weir-money-by-${by}.csv`, [
    [by, 'requests', 'input_tokens', 'output_tokens', 'cost_usd', 'saved_usd', 'uncounted'],
    ...[...rows, total].map((row) => [
      ...[row.name, row.requests, row.input_tokens, row.output_tokens],
      ...[row.cost_usd, row.saved_usd, row.uncounted],
    ]),
  ])
}

function Rows({ of, by }: { readonly of: Money; readonly by: Group }): JSX.Element {
  const { rows, total } = of
  const most = Math.max(...rows.map((row) => row.cost_usd + Math.max(0, row.saved_usd)), 1e-12)
  if (rows.length === 0) return <Empty title="Nothing was spent yet." />
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls sideways must be reached by the keyboard
    <section class="scroll-x" aria-label="Spending and savings" tabIndex={0}>
      <table class="list">
        <thead>
          <tr>
            <th>{by}</th>
            <th class="numeric">Requests</th>
            <th class="numeric">Tokens in, out</th>
            <th class="numeric">Spent</th>
            <th class="numeric">Saved</th>
            <th class="numeric">Saved by 1,000 requests</th>
            <th class="bar-cell">Spent, of what it would have been</th>
          </tr>
        </thead>
        <tbody>
          {[...rows, ...(rows.length > 1 ? [total] : [])].map((row, i) => {
            const all = i === rows.length
            const whole = row.cost_usd + Math.max(0, row.saved_usd)
            return (
              <tr key={all ? ' all' : row.name} class={all ? 'total' : undefined}>
                <td class="name">{row.name}</td>
                <td class="numeric">{count(row.requests)}</td>
                <td class="numeric">
                  {compact(row.input_tokens)}, {compact(row.output_tokens)}
                </td>
                <td class="numeric">{dollars(row.cost_usd)}</td>
                <td class="numeric">{dollars(row.saved_usd)}</td>
                <td class="numeric">
                  {row.saved_each.value === null ? (
                    '–'
                  ) : (
                    <>
                      {dollars(1000 * row.saved_each.value)}{' '}
                      <span class="muted small">
                        {interval(row.saved_each, (value) => dollars(1000 * value))}
                      </span>
                    </>
                  )}
                </td>
                <td class="bar-cell">
                  {!all && (
                    <Bar
                      label={`${row.name}: spent of what the dearest model alone would have cost`}
                      value={row.cost_usd / most}
                      mark={whole / most}
                      text={`${dollars(row.cost_usd)} of ${dollars(whole)}`}
                    />
                  )}
                </td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </section>
  )
}

function Budgets({ of }: { readonly of: Money['budgets'] }): JSX.Element {
  return (
    <Card title="Budgets" more="Spent in the current period; what runs now is held">
      {of.length === 0 ? (
        <Empty title="No budgets.">
          They stand under <code>gateway.budgets</code>, or in a policy.
        </Empty>
      ) : (
        <ul class="budgets">
          {of.map((budget) => {
            const used = (budget.spent_usd + budget.held_usd) / budget.usd
            const tone = used >= 1 ? 'bad' : used >= 0.8 ? 'warn' : 'accent'
            return (
              <li key={budget.name}>
                <div class="row spread">
                  <strong>{budget.name}</strong>
                  <span class="small">
                    {dollars(budget.spent_usd)} of {dollars(budget.usd)}
                    <span class="muted">
                      {' '}
                      {budget.per === 'total' ? 'in all' : `a ${budget.per}`}
                    </span>
                  </span>
                </div>
                <Bar
                  label={`Budget ${budget.name}`}
                  value={Math.min(1, used)}
                  tone={tone}
                  text={`${percent(used)} used`}
                />
                <div class="row spread small muted">
                  <span>{percent(used)} used</span>
                  {budget.refused > 0 && (
                    <Tag tone="warn">
                      {count(budget.refused)} requests refused or kept from a model
                    </Tag>
                  )}
                </div>
              </li>
            )
          })}
        </ul>
      )}
    </Card>
  )
}

interface Point {
  readonly time: number
  /** dollars since the first point */
  readonly spent: number
  readonly whole: number
}

/** Sums from minute to minute; at most a day. */
function pointsOf(minutes: Money['minutes']): Point[] {
  let [spent, saved] = [0, 0]
  const points = minutes.map(({ time, cost_usd, saved_usd }) => {
    spent += cost_usd
    saved += saved_usd
    return { time: time + 60_000, spent, whole: spent + saved }
  })
  return points[0] ? [{ time: minutes[0]!.time, spent: 0, whole: 0 }, ...points] : []
}

function SavingsLine({ of }: { readonly of: Money }): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const points = pointsOf(of.minutes)
  const last = points.at(-1)
  const key = `${points.length} ${last?.spent} ${last?.whole}`
  const options = useCallback(
    (plot: typeof import('../parts/plot.ts'), width: number) => ({
      marginLeft: 60,
      width,
      x: { type: 'time' as const, label: null },
      y: { label: null, grid: true, tickFormat: dollars, nice: true, ticks: 5 },
      marks: [
        plot.areaY(points, {
          x: 'time',
          y1: 'spent',
          y2: 'whole',
          fill: 'var(--accent)',
          fillOpacity: 0.14,
        }),
        plot.lineY(points, { x: 'time', y: 'whole', stroke: 'var(--other)', strokeWidth: 2 }),
        plot.lineY(points, { x: 'time', y: 'spent', stroke: 'var(--accent)', strokeWidth: 2.5 }),
      ],
    }),
    [key],
  )
  const title = last
    ? `Spent ${dollars(last.spent)} of ${dollars(last.whole)}: ${percent(1 - last.spent / Math.max(last.whole, 1e-12), 0)} saved`
    : ''
  return (
    <Card
      title="The savings line"
      more={last ? title : 'By minute, of the last day'}
      actions={
        last && (
          <>
            <button
              type="button"
              class="button"
              onClick={() =>
                saveCsv('weir-savings.csv', [
                  ['time', 'spent_usd', 'dearest_model_alone_usd', 'saved_usd'],
                  ...points.map(({ time, spent, whole }) => [
                    new Date(time).toISOString(),
                    ...[spent, whole, whole - spent].map((usd) => Number(usd.toFixed(9))),
                  ]),
                ])
              }
            >
              CSV
            </button>
            <button
              type="button"
              class="button"
              onClick={() => {
                const chart = box.current?.querySelector('svg')
                if (chart) void saveImage('weir-savings.png', chart, title)
              }}
            >
              Image
            </button>
          </>
        )
      }
    >
      {last ? (
        <div ref={box}>
          <Chart label={title} options={options} height={230} />
          <ul class="legend">
            <li>
              <span class="dot" style={{ background: 'var(--other)' }} />
              the dearest model alone
            </li>
            <li>
              <span class="dot" style={{ background: 'var(--accent)' }} />
              spent
            </li>
          </ul>
        </div>
      ) : (
        <Empty title="Nothing was spent yet." />
      )}
    </Card>
  )
}
