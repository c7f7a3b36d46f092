import type { ComponentChildren, JSX } from 'preact'
import { useCallback } from 'preact/hooks'
import type { Answered } from '../../serving/server/console/contract.ts'
import { count, dateOf, interval, milliseconds, percent, rate } from '../format.ts'
import { Bar } from '../parts/bar.tsx'
import { Card, Tag } from '../parts/card.tsx'
import { Chart } from '../parts/chart.tsx'
import { Stat, Stats } from '../parts/stat.tsx'
import { Empty, WithData } from '../parts/states.tsx'
import { useRead } from '../state.ts'

type Health = Answered<'health'>

export default function HealthView(): JSX.Element {
  const health = useRead('health', {}, 4_000)
  return (
    <>
      <header class="page-head">
        <div>
          <h1>Health</h1>
          <p>Whether traffic still looks as it did when the router was made, and what fails.</p>
        </div>
      </header>
      <WithData of={health}>{(data) => <Figures of={data} />}</WithData>
    </>
  )
}

/** What each alarm watches, and what to do when it has fired. */
const ALARMS: Readonly<Record<string, { readonly name: string; readonly means: string }>> = {
  win_rate: {
    name: 'Win rates',
    means:
      'Prompts are easier or harder than those of the calibration: calibrate again on recent logs.',
  },
  embedding: {
    name: 'Topics',
    means: 'Prompts are about other things than before: label some of them, and train again.',
  },
  strong_share: {
    name: 'Share of the strong model',
    means: 'More or fewer requests than before go to the strong model: the costs change with it.',
  },
  cost: {
    name: 'Cost of a request',
    means: 'Requests cost more or less than before: look at tokens and prices.',
  },
  out_of_distribution: {
    name: 'Unlike the training prompts',
    means: 'More prompts than before are like none in training: the router guesses on them.',
  },
  quality: {
    name: 'Quality',
    means:
      'Feedback is worse than its reference: see what changed, and roll back if it was a version.',
  },
}

function Figures({ of }: { readonly of: Health }): JSX.Element {
  const { alarms, stale, encoders, upstreams, reloads, log, in_flight, lag_ms } = of
  const raised = alarms.filter((alarm) => alarm.raised > 0).length
  const broken = upstreams.filter(({ state }) => state !== 'closed').length
  const down = encoders.filter((encoder) => encoder.down).length
  const refused = reloads.filter(({ result }) => result === 'refused').length
  return (
    <>
      <Stats>
        <Stat
          name="Alarms"
          value={of.watched ? count(raised) : 'off'}
          tone={raised ? 'bad' : of.watched ? 'good' : 'warn'}
        >
          {of.watched ? 'have fired since the start' : 'nothing is watched'}
        </Stat>
        <Stat
          name="Encoders"
          value={down === 0 ? 'work' : `${down} down`}
          tone={down ? 'bad' : 'good'}
        >
          {count(encoders.length)} in use
        </Stat>
        {upstreams.length > 0 && (
          <Stat
            name="Upstreams"
            value={broken === 0 ? 'answer' : `${broken} of ${upstreams.length} fail`}
            tone={broken ? 'bad' : 'good'}
          >
            {count(upstreams.length)} in use
          </Stat>
        )}
        <Stat
          name="Reloads"
          value={refused === 0 ? 'none refused' : `${refused} refused`}
          tone={refused ? 'warn' : undefined}
        >
          of {count(reloads.length)} lately
        </Stat>
        <Stat
          name="Decision log"
          value={log}
          tone={log === 'failing' ? 'bad' : log === 'none' ? 'warn' : undefined}
        >
          {count(in_flight)} requests in progress, {milliseconds(lag_ms)} behind
        </Stat>
      </Stats>
      {stale.length > 0 && (
        <p class="note note-bad" role="alert">
          <span>
            The certificate of {stale.join(', ')} no longer fits the traffic: what it promises was
            measured on other prompts. Calibrate again.
          </span>
        </p>
      )}
      <div class="grid">
        <Card
          title="Alarms"
          more="How near each is to firing; it has the whole of the evidence so far"
        >
          <Alarms of={of} />
        </Card>
        <Card title="Feedback by win rate" more="Good answers, as users and judges rate them live">
          <Ratings of={of.ratings} />
        </Card>
        <Card title="Upstreams" wide={false}>
          <Upstreams of={upstreams} />
        </Card>
        <Card title="Encoders and reloads">
          <List
            head={['Router', 'Encoder', '']}
            rows={encoders.map(({ router, encoder, down: its }) => [
              router,
              encoder,
              <Tag key="state" tone={its ? 'bad' : 'good'}>
                {its ? 'fails: the fallback decides' : 'works'}
              </Tag>,
            ])}
            empty="No router serves."
          />
          <h3 class="under">Reloads</h3>
          <List
            head={['Time', 'Result', 'Why']}
            rows={reloads.slice(0, 10).map(({ time, result, message }) => [
              dateOf(time),
              <Tag key="result" tone={result === 'ok' ? 'good' : 'bad'}>
                {result === 'ok' ? 'done' : 'refused'}
              </Tag>,
              message === '' ? '' : message,
            ])}
            empty="None since the start."
          />
        </Card>
      </div>
    </>
  )
}

function List({
  head,
  rows,
  empty,
}: {
  readonly head: readonly string[]
  readonly rows: readonly (readonly ComponentChildren[])[]
  readonly empty: string
}): JSX.Element {
  if (rows.length === 0) return <p class="muted small">{empty}</p>
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls sideways must be reached by the keyboard
    <section class="scroll-x" aria-label={head.join(', ')} tabIndex={0}>
      <table class="list">
        <thead>
          <tr>
            {head.map((name) => (
              <th key={name}>{name}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            <tr key={i}>
              {row.map((cell, j) => (
                <td key={j} class="wraps">
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

function Alarms({ of: { watched, alarms } }: { readonly of: Health }): JSX.Element {
  if (!watched) {
    return (
      <Empty title="Nothing is watched.">
        A section <code>alarms</code> in the configuration watches traffic and feedback.
      </Empty>
    )
  }
  if (alarms.length === 0) {
    return <Empty title="The first decisions are still the reference." />
  }
  return (
    <ul class="budgets">
      {alarms.map(({ router, alarm, level, raised }) => {
        const known = ALARMS[alarm] ?? { name: alarm, means: '' }
        return (
          <li key={`${router} ${alarm}`}>
            <div class="row spread">
              <span>
                <strong>{known.name}</strong> <span class="muted small">{router}</span>
              </span>
              {raised > 0 ? (
                <Tag tone="bad">fired{raised > 1 ? ` ${count(raised)} times` : ''}</Tag>
              ) : (
                <span class="small muted">{level === null ? '' : percent(level, 0)}</span>
              )}
            </div>
            {level !== null && (
              <Bar
                label={`How near the alarm ${known.name} of ${router} is to firing`}
                value={level}
                tone={raised > 0 || level >= 1 ? 'bad' : level > 0.6 ? 'warn' : 'plain'}
              />
            )}
            {(raised > 0 || (level ?? 0) > 0.6) && <p class="small muted">{known.means}</p>}
          </li>
        )
      })}
    </ul>
  )
}

function Ratings({ of }: { readonly of: Health['ratings'] }): JSX.Element {
  const total = of.reduce((sum, { strong, weak }) => sum + strong.n + weak.n, 0)
  const points = of.flatMap(({ win_rate: x, strong, weak }) =>
    (
      [
        ['strong', strong],
        ['weak', weak],
      ] as const
    ).flatMap(([model, { n, value, low, high }]) =>
      x === null || value === null
        ? []
        : [
            {
              x,
              model,
              n,
              value,
              low: Math.max(0, low ?? value),
              high: Math.min(1, high ?? value),
            },
          ],
    ),
  )
  const key = JSON.stringify(points)
  const options = useCallback(
    (plot: typeof import('../parts/plot.ts'), width: number) => ({
      width,
      x: { domain: [0, 1], label: 'win rate of the strong model, as predicted', ticks: 6 },
      y: { domain: [0, 1], label: 'mean score', grid: true, ticks: 5 },
      marks: [
        ...(['weak', 'strong'] as const).flatMap((model) => {
          const its = points.filter((point) => point.model === model)
          const stroke = model === 'strong' ? 'var(--accent)' : 'var(--other)'
          return [
            plot.ruleX(its, { x: 'x', y1: 'low', y2: 'high', stroke, strokeWidth: 1.5 }),
            plot.lineY(its, { x: 'x', y: 'value', stroke, strokeOpacity: 0.4 }),
            plot.dot(its, { x: 'x', y: 'value', fill: stroke, r: 4 }),
          ]
        }),
      ],
    }),
    [key],
  )
  if (total === 0) {
    return (
      <Empty title="No feedback yet.">
        Send ratings to <code>/feedback</code>, or rate answers in Live.
      </Empty>
    )
  }
  const words = points
    .map(
      ({ x, model, value, low, high, n }) =>
        `${model} at ${rate(x)}: ${rate(value)} ${interval({ low, high }, rate)} of ${n}`,
    )
    .join('; ')
  return (
    <>
      <Chart
        label={`Mean scores of ${count(total)} rated answers. ${words}`}
        options={options}
        height={240}
      />
      <ul class="legend">
        <li>
          <span class="dot" style={{ background: 'var(--accent)' }} />
          answers of the strong model
        </li>
        <li>
          <span class="dot" style={{ background: 'var(--other)' }} />
          of the weak model
        </li>
      </ul>
      <p class="small muted">
        {count(total)} rated answers, with 95% intervals. Where the win rate is high the weak model
        should do worse; if its line does not fall, the win rates do not say what they should.
      </p>
    </>
  )
}

const STATES: Readonly<Record<string, readonly [tone: 'good' | 'warn' | 'bad', words: string]>> = {
  closed: ['good', 'answers'],
  half_open: ['warn', 'is tried again'],
  open: ['bad', 'fails: it is left out'],
}

function Upstreams({ of }: { readonly of: Health['upstreams'] }): JSX.Element {
  if (of.length === 0) return <Empty title="No gateway: this server only routes." />
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls sideways must be reached by the keyboard
    <section class="scroll-x" aria-label="Upstreams" tabIndex={0}>
      <table class="list">
        <thead>
          <tr>
            <th>Upstream</th>
            <th>State</th>
            <th class="numeric">Attempts</th>
            <th class="numeric">Failed</th>
            <th class="numeric">Mean time</th>
          </tr>
        </thead>
        <tbody>
          {of.map(({ name, state, attempts, failed, ms }) => {
            const [tone, words] = STATES[state] ?? ['warn', state]
            return (
              <tr key={name}>
                <td>{name}</td>
                <td>
                  <Tag tone={tone}>{words}</Tag>
                </td>
                <td class="numeric">{count(attempts)}</td>
                <td class="numeric">{attempts === 0 ? '–' : percent(failed / attempts)}</td>
                <td class="numeric">{milliseconds(ms.value)}</td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </section>
  )
}
