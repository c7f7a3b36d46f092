import type { JSX } from 'preact'
import type { Answered, Tick } from '../../serving/server/console/contract.ts'
import { compact, count, dollars, duration, milliseconds, percent, rate } from '../format.ts'
import { Card, Tag } from '../parts/card.tsx'
import { LiveChart } from '../parts/live-chart.tsx'
import { Stat, Stats } from '../parts/stat.tsx'
import { Empty, WithData } from '../parts/states.tsx'
import { useRead, useSession } from '../state.ts'
import { everySecond } from '../ticks.ts'

type Overview = Answered<'overview'>

export default function OverviewView(): JSX.Element {
  const local = useSession().mode === 'local'
  const overview = useRead('overview', {}, local ? undefined : 2_000)
  return (
    <>
      <header class="page-head">
        <div>
          <h1>Overview</h1>
          <p>
            {local
              ? 'The bundles and decision logs of this console.'
              : 'What serves now, and what it did in the last two minutes.'}
          </p>
        </div>
      </header>
      <WithData of={overview}>{(data) => <Figures of={data} />}</WithData>
    </>
  )
}

function Figures({ of }: { readonly of: Overview }): JSX.Element {
  const { totals, routers, models, now, started } = of
  const local = useSession().mode === 'local'
  const perSecond = rateOf(of)
  const failing = totals.errors > 0
  return (
    <>
      <Stats>
        {local && (
          <Stat name="Decisions" value={compact(totals.decisions)}>
            {totals.decisions === 0
              ? 'no decision log was given'
              : `over ${duration(now - started)}`}
          </Stat>
        )}
        {!local && (
          <Stat
            name="Decisions a second"
            value={perSecond < 10 ? perSecond.toFixed(1) : compact(Math.round(perSecond))}
          >
            {compact(totals.decisions)} in {duration(now - started)}
          </Stat>
        )}
        <Stat
          name="To the strong model"
          value={totals.decisions === 0 ? '–' : percent(totals.strong / totals.decisions, 0)}
        >
          of decisions since the start
        </Stat>
        <Stat
          name="Time of a decision"
          value={milliseconds(
            totals.decisions === 0 ? null : totals.decision_ms / totals.decisions,
          )}
        >
          mean, ours alone
        </Stat>
        {models.length > 0 && (
          <>
            <Stat name="Spent" value={dollars(totals.cost_usd)}>
              {compact(totals.requests)} requests answered or refused
            </Stat>
            <Stat
              name="Saved"
              value={dollars(totals.saved_usd)}
              tone={totals.saved_usd > 0 ? 'good' : undefined}
            >
              {totals.cost_usd + totals.saved_usd > 0
                ? `${percent(totals.saved_usd / (totals.cost_usd + totals.saved_usd), 0)} of the dearest model alone`
                : 'against the dearest model alone'}
            </Stat>
            <Stat name="Errors" value={compact(totals.errors)} tone={failing ? 'warn' : undefined}>
              {totals.requests === 0
                ? 'of no requests'
                : `${percent(totals.errors / totals.requests)} of requests`}
            </Stat>
          </>
        )}
        <Stat
          name="Fallbacks"
          value={compact(totals.fallbacks)}
          tone={totals.fallbacks > 0 ? 'warn' : undefined}
        >
          decided without the router
        </Stat>
      </Stats>
      <div class="grid">
        {!local && (
          <Card title="Decisions by second" more="The last two minutes" wide>
            <Traffic seconds={of.seconds} now={now} />
          </Card>
        )}
        <Card
          title="Routers"
          wide
          more="Each with its threshold in the win rates of its decisions since the start"
        >
          {routers.length === 0 ? (
            <Empty title="No trained router serves yet.">
              Chats go by model names, rules and shares. Train one with <code>weir train</code>.
            </Empty>
          ) : (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it
            <section class="scroll-x" aria-label="Table of routers" tabIndex={0}>
              <table class="list">
                <thead>
                  <tr>
                    <th>Router</th>
                    <th>Version</th>
                    <th>Pair</th>
                    <th class="numeric">Threshold</th>
                    <th>Win rates</th>
                  </tr>
                </thead>
                <tbody>
                  {routers.map((router) => (
                    <tr key={router.name}>
                      <td>
                        <strong>{router.name}</strong>{' '}
                        {!router.calibrated && <Tag tone="warn">not calibrated</Tag>}
                      </td>
                      <td>
                        <code>{router.version.slice(0, 12)}</code>
                      </td>
                      <td>
                        {router.strong} <span class="muted">or</span> {router.weak}
                      </td>
                      <td class="numeric">{rate(router.threshold)}</td>
                      <td>
                        <Histogram
                          bins={router.spread.counts}
                          threshold={router.threshold}
                          name={router.name}
                        />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </section>
          )}
        </Card>
      </div>
    </>
  )
}

/** Decisions a second over the last ten whole seconds. */
function rateOf({ seconds, now }: Overview): number {
  const from = Math.floor(now / 1000) * 1000 - 10_000
  const recent = seconds.filter(({ time }) => time >= from && time < from + 10_000)
  return recent.reduce((sum, { decisions }) => sum + decisions, 0) / 10
}

function Traffic({
  seconds,
  now,
}: {
  readonly seconds: readonly Tick[]
  readonly now: number
}): JSX.Element {
  const ticks = everySecond(seconds, now)
  const decisions = ticks.map((tick) => tick.decisions)
  const strong = ticks.map((tick) => tick.strong)
  const total = decisions.reduce((sum, one) => sum + one, 0)
  return (
    <LiveChart
      label={`${count(total)} decisions in the last two minutes`}
      times={ticks.map(({ time }) => time)}
      lines={[
        { name: 'all decisions', colour: '--other', values: decisions, filled: true },
        { name: 'to the strong model', colour: '--accent', values: strong, filled: true },
      ]}
    />
  )
}

const HISTOGRAM_WIDTH = 220
const HISTOGRAM_HEIGHT = 40

/** Counts by win rate; what is at or above the threshold goes to the strong model. */
function Histogram({
  bins,
  threshold,
  name,
}: {
  readonly bins: readonly number[]
  readonly threshold: number
  readonly name: string
}): JSX.Element {
  const most = Math.max(...bins)
  const total = bins.reduce((sum, one) => sum + one, 0)
  if (total === 0) return <span class="muted small">no decisions yet</span>
  const step = HISTOGRAM_WIDTH / bins.length
  const above = bins.reduce(
    (sum, one, i) => sum + ((i + 0.5) / bins.length >= threshold ? one : 0),
    0,
  )
  const label = `Win rates of ${count(total)} decisions of ${name}: about ${percent(above / total, 0)} reach the threshold ${rate(threshold)}`
  return (
    <svg
      class="histogram"
      width={HISTOGRAM_WIDTH}
      height={HISTOGRAM_HEIGHT}
      role="img"
      aria-label={label}
    >
      {bins.map((one, i) => {
        const height = one === 0 ? 0 : Math.max(1, (HISTOGRAM_HEIGHT - 2) * (one / most))
        const strong = (i + 0.5) / bins.length >= threshold
        return (
          <rect
            key={i}
            x={i * step + 0.5}
            y={HISTOGRAM_HEIGHT - height}
            width={step - 1}
            height={height}
            fill={strong ? 'var(--accent)' : 'var(--other)'}
          />
        )
      })}
      <line
        x1={threshold * HISTOGRAM_WIDTH}
        x2={threshold * HISTOGRAM_WIDTH}
        y1="0"
        y2={HISTOGRAM_HEIGHT}
        stroke="var(--text)"
        stroke-width="1.5"
      />
    </svg>
  )
}
