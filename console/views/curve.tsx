import type { JSX } from 'preact'
import { useCallback, useId, useState } from 'preact/hooks'
import type { Answered, Spread } from '../../serving/server/console/contract.ts'
import { send } from '../api.ts'
import { count, dateOf, dollars, percent, rate } from '../format.ts'
import { replaceQuery, usePlace } from '../location.ts'
import { Card, Tag } from '../parts/card.tsx'
import { Chart } from '../parts/chart.tsx'
import { Stat, Stats } from '../parts/stat.tsx'
import { ErrorNote, WithData } from '../parts/states.tsx'
import { useAction, useMay, useRead, useSession } from '../state.ts'

type Data = Answered<'curve'>
type CostQuality = NonNullable<Data['curve']>

const MONTH_MS = 30 * 86_400_000
/** Requests before their rate is taken for a month’s. */
const ENOUGH_SEEN = 100

export default function CurveView(): JSX.Element {
  const { query } = usePlace()
  const overview = useRead('overview')
  const names = overview.data?.routers.map(({ name }) => name) ?? []
  const data = useRead('curve', query.router === undefined ? {} : { router: query.router }, 5_000)
  return (
    <>
      <header class="page-head">
        <div>
          <h1>Curve</h1>
          <p>
            What quality costs: the router’s test prompts, its traffic, and a month of it, under one
            threshold.
          </p>
        </div>
        {names.length > 1 && (
          <select
            aria-label="Router"
            class="picker"
            value={data.data?.router.name}
            onChange={({ currentTarget }) => replaceQuery({ router: currentTarget.value })}
          >
            {names.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        )}
      </header>
      <WithData of={data}>
        {(curve) => <Curve key={`${curve.router.name} ${curve.router.version}`} of={curve} />}
      </WithData>
    </>
  )
}

function Curve({ of }: { readonly of: Data }): JSX.Element {
  const { router, curve, now, started } = of
  const { mode } = useSession()
  const own = of.policy_threshold ?? router.threshold
  const [moved, setMoved] = useState<number>()
  const [volume, setVolume] = useState<number>()
  const threshold = moved ?? own
  const seen = sum(router.spread.counts)
  const monthly =
    seen >= ENOUGH_SEEN && mode === 'server'
      ? rough((seen / (now - started)) * MONTH_MS)
      : 1_000_000
  const requests = volume ?? monthly
  const live = liveAt(router.spread, threshold)
  const tested = curve && testedAt(curve, threshold)
  const id = useId()
  const share = live?.share ?? tested?.share
  return (
    <>
      <section class="card slider" aria-label="Threshold">
        <div class="row spread">
          <label for={id}>Threshold on the win rate of {router.strong}</label>
          <span class="row">
            {moved !== undefined && (
              <button type="button" class="link" onClick={() => setMoved(undefined)}>
                back to {rate(own)}
              </button>
            )}
            <output class="slider-value" for={id}>
              {rate(threshold)}
            </output>
          </span>
        </div>
        <input
          id={id}
          type="range"
          min="0"
          max="1"
          step="0.001"
          value={threshold}
          aria-valuetext={`${rate(threshold)}${share === undefined ? '' : `, ${percent(share, 0)} to ${router.strong}`}`}
          onInput={({ currentTarget }) => setMoved(Number(currentTarget.value))}
        />
        <p class="muted small row spread">
          <span>all to {router.strong}</span>
          <span>all to {router.weak}</span>
        </p>
      </section>
      <Stats>
        <Stat name={`To ${router.strong}`} value={percent(share, 0)}>
          {live ? `of ${count(seen)} decisions` : 'of the test prompts; no traffic yet'}
        </Stat>
        {tested && curve && (
          <Stat
            name={curve.unit === 'pgr' ? 'Quality recovered' : 'Score gained'}
            value={curve.unit === 'pgr' ? percent(tested.value, 0) : tested.value.toFixed(3)}
          >
            {curve.unit === 'pgr'
              ? `of the gap between the models, ${percent(tested.low, 0)} to ${percent(tested.high, 0)}`
              : `over ${router.weak} alone, ${tested.low.toFixed(3)} to ${tested.high.toFixed(3)}`}
          </Stat>
        )}
        <Stat
          name="A month"
          value={dollars(live?.dollars === undefined ? undefined : live.dollars * requests)}
        >
          {live?.dollars === undefined
            ? 'needs prices and traffic'
            : `at ${count(requests)} requests, estimated`}
        </Stat>
        <Stat
          name="Saved a month"
          value={dollars(
            live?.dollars === undefined ? undefined : (live.allStrong - live.dollars) * requests,
          )}
          tone={live?.dollars === undefined ? undefined : 'good'}
        >
          {live?.dollars === undefined || live.allStrong === 0
            ? `against ${router.strong} alone`
            : `${percent(1 - live.dollars / live.allStrong, 0)} less than ${router.strong} alone`}
        </Stat>
      </Stats>
      <div class="grid">
        <Card
          title="Quality against cost"
          more={
            curve
              ? `On ${count(curve.rows)} test prompts, with the band of 95% of resamples`
              : 'This bundle was made before curves were kept: train it again to see it'
          }
        >
          {curve && (
            <CurveChart curve={curve} threshold={threshold} own={own} strong={router.strong} />
          )}
        </Card>
        <Card
          title="Win rates of traffic"
          more={`${count(seen)} decisions${mode === 'server' ? ' since the start' : ' in the logs'}`}
        >
          <SpreadChart
            spread={router.spread}
            threshold={threshold}
            strong={router.strong}
            weak={router.weak}
          />
        </Card>
        <Card title="A month of it" later>
          <label for={`${id}-volume`}>Requests a month</label>
          <input
            id={`${id}-volume`}
            type="number"
            min="0"
            step="1000"
            value={requests}
            onInput={({ currentTarget }) => {
              const given = Number(currentTarget.value)
              setVolume(Number.isFinite(given) && given >= 0 ? given : undefined)
            }}
          />
          <p class="muted small field">
            {live?.dollars === undefined
              ? 'Dollars need prices in the bundle (weir train --price) and some traffic.'
              : 'Estimated from each decision’s prompt, the models’ usual answers and their prices.'}
          </p>
          <Propose of={of} threshold={threshold} changed={Math.abs(threshold - own) > 5e-4} />
        </Card>
        <Certificate of={of} />
      </div>
    </>
  )
}

/** Proposes the threshold to somebody else: nothing changes before they approve it. */
function Propose({
  of,
  threshold,
  changed,
}: {
  readonly of: Data
  readonly threshold: number
  readonly changed: boolean
}): JSX.Element {
  const [note, setNote] = useState('')
  const id = useId()
  const operator = useMay('operator')
  const { mode } = useSession()
  const { run, busy, error } = useAction((body: { note?: string }) =>
    send('propose_threshold', { router: of.router.name, threshold, ...body }),
  )
  const [made, setMade] = useState<string>()
  if (mode === 'local') {
    return (
      <p class="small">
        To set it: <code>weir calibrate BUNDLE LOG --strong-share …</code>, or another target.
      </p>
    )
  }
  if (of.no_proposals !== null) {
    return <p class="muted small">A threshold cannot be proposed here: {of.no_proposals}.</p>
  }
  if (!operator) return <p class="muted small">An operator can propose this threshold.</p>
  return (
    <form
      class="propose"
      onSubmit={(event) => {
        event.preventDefault()
        void run(note.trim() === '' ? {} : { note: note.trim() }).then((done) => setMade(done?.id))
      }}
    >
      <label for={`${id}-note`}>Why</label>
      <input
        id={`${id}-note`}
        maxLength={1000}
        value={note}
        placeholder={`threshold ${rate(threshold)} for ${of.router.name}`}
        onInput={({ currentTarget }) => setNote(currentTarget.value)}
      />
      <button type="submit" class="button primary" disabled={busy || !changed}>
        Propose {rate(threshold)}
      </button>
      {!changed && <span class="muted small">Move the threshold first.</span>}
      {made !== undefined && (
        <p class="note" role="status">
          Proposed as {made}. Somebody else approves it; until then nothing changes.
        </p>
      )}
      {error && <ErrorNote error={error} />}
    </form>
  )
}

/** What a certificate expects at its threshold: names in words, and whether they are shares. */
const EXPECTED = [
  ['share', 'strong calls', percent],
  ['pgr', 'gap kept', percent],
  ['quality', 'quality', (value: number) => value.toFixed(3)],
  ['loss', 'net loss', (value: number) => value.toFixed(3)],
  ['dollars', 'per 1,000 calls', dollars],
] as const

interface Interval {
  readonly value: number
  readonly low: number
  readonly high: number
}

const isInterval = (given: unknown): given is Interval =>
  typeof given === 'object' &&
  given !== null &&
  ['value', 'low', 'high'].every(
    (name) => typeof (given as Record<string, unknown>)[name] === 'number',
  )

/** A target’s fields in words: `strong share 0.3`. */
const targetWords = ({ kind, ...rest }: Readonly<Record<string, unknown>>): string =>
  [
    String(kind).replaceAll('-', ' '),
    ...Object.entries(rest).map(([name, value]) =>
      name === String(kind).split('-').at(-1) ? value : `${name.replaceAll('_', ' ')} ${value}`,
    ),
  ].join(', ')

function Certificate({ of }: { readonly of: Data }): JSX.Element {
  const { certificate, router, created } = of
  const { target, expected, method, bound, confidence, promise, n, effective_n, date } =
    (certificate ?? {}) as Readonly<Record<string, unknown>>
  const plain: readonly (readonly [string, unknown])[] = [
    [
      'Target',
      typeof target === 'object' && target !== null
        ? targetWords(target as Record<string, unknown>)
        : undefined,
    ],
    ['Promise', promise],
    ['Confidence', typeof confidence === 'number' ? percent(confidence, 0) : undefined],
    ['Method', bound === undefined ? method : `${method}, ${bound}`],
    [
      'Prompts',
      typeof n === 'number'
        ? `${count(n)}${effective_n === undefined ? '' : ` (worth ${effective_n})`}`
        : undefined,
    ],
    ['Calibrated', typeof date === 'string' ? dateOf(Date.parse(date)) : undefined],
  ]
  const expectations = EXPECTED.flatMap(([name, words, shown]) => {
    const its = (expected as Readonly<Record<string, unknown>> | undefined)?.[name]
    return isInterval(its)
      ? [{ words, value: shown(its.value), low: shown(its.low), high: shown(its.high) }]
      : []
  })
  return (
    <Card
      title="Certificate"
      more={
        certificate
          ? 'What the calibration of this threshold promises'
          : 'This threshold was never calibrated: it sends half of the validation prompts to the strong model'
      }
    >
      <dl class="pairs">
        <dt>Version</dt>
        <dd>
          <code>{router.version}</code>
        </dd>
        <dt>Made</dt>
        <dd>{dateOf(Date.parse(created))}</dd>
        <dt>Threshold</dt>
        <dd>
          {rate(router.threshold)} {!router.calibrated && <Tag tone="warn">not calibrated</Tag>}
          {of.policy_threshold !== null && (
            <span class="muted"> (the policy sets {rate(of.policy_threshold)})</span>
          )}
        </dd>
        {plain.flatMap(([name, value]) =>
          value === undefined || value === null
            ? []
            : [<dt key={`${name}-name`}>{name}</dt>, <dd key={name}>{String(value)}</dd>],
        )}
      </dl>
      {expectations.length > 0 && (
        <>
          <h3 class="sub">Expected at the threshold, with 95% intervals</h3>
          <dl class="pairs">
            {expectations.flatMap(({ words, value, low, high }) => [
              <dt key={`${words}-name`}>{words}</dt>,
              <dd key={words}>
                {value}{' '}
                <span class="muted">
                  {low} to {high}
                </span>
              </dd>,
            ])}
          </dl>
        </>
      )}
    </Card>
  )
}

function CurveChart({
  curve,
  threshold,
  own,
  strong,
}: {
  readonly curve: CostQuality
  readonly threshold: number
  readonly own: number
  readonly strong: string
}): JSX.Element {
  const at = testedAt(curve, threshold)
  const served = testedAt(curve, own)
  const options = useCallback(
    (plot: typeof import('../parts/plot.ts'), width: number) => {
      const steps = curve.value.length - 1
      const rows = curve.value.map((value, i) => ({
        share: i / steps,
        value,
        low: curve.low[i]!,
        high: curve.high[i]!,
      }))
      const percents = curve.unit === 'pgr'
      return {
        height: 300,
        marginLeft: 48,
        marginBottom: 40,
        x: {
          domain: [0, 1],
          label: `prompts sent to ${strong}`,
          tickFormat: '.0%',
          ticks: width < 420 ? 4 : 6,
        },
        y: {
          label: percents ? 'gap recovered' : 'score gained',
          grid: true,
          ...(percents ? { tickFormat: '.0%' } : {}),
        },
        marks: [
          plot.line([rows[0]!, rows.at(-1)!], {
            x: 'share',
            y: 'value',
            stroke: 'var(--other)',
            strokeDasharray: '3 4',
          }),
          plot.areaY(rows, {
            x: 'share',
            y1: 'low',
            y2: 'high',
            fill: 'var(--accent)',
            fillOpacity: 0.14,
          }),
          plot.line(rows, { x: 'share', y: 'value', stroke: 'var(--accent)', strokeWidth: 2.2 }),
          plot.ruleX([at.share], { stroke: 'var(--text)', strokeOpacity: 0.35 }),
          plot.dot([served], {
            x: 'share',
            y: 'value',
            stroke: 'var(--accent)',
            fill: 'var(--surface)',
            strokeWidth: 2,
            r: 5,
          }),
          plot.dot([at], { x: 'share', y: 'value', fill: 'var(--accent)', r: 6 }),
        ],
      }
    },
    [curve, at.share, at.value, served.share, strong],
  )
  const label = `Quality against the share sent to ${strong}: at ${percent(at.share, 0)}, ${curve.unit === 'pgr' ? `${percent(at.value, 0)} of the gap is recovered` : `the score gains ${at.value.toFixed(3)}`}`
  return (
    <>
      <Chart label={label} options={options} height={300} />
      <ul class="legend">
        <li>
          <span class="dot round" style={{ background: 'var(--accent)' }} />
          at the slider
        </li>
        <li>
          <span class="dot ring" />
          as served
        </li>
        <li>
          <span class="dash" />
          drawing lots
        </li>
      </ul>
    </>
  )
}

function SpreadChart({
  spread,
  threshold,
  strong,
  weak,
}: {
  readonly spread: Spread
  readonly threshold: number
  readonly strong: string
  readonly weak: string
}): JSX.Element {
  const bins = spread.counts.length
  const key = spread.counts.join()
  const options = useCallback(
    (plot: typeof import('../parts/plot.ts')) => {
      const rows = key
        .split(',')
        .map((text, i) => ({ from: i / bins, to: (i + 1) / bins, decisions: Number(text) }))
      return {
        height: 300,
        marginLeft: 48,
        marginBottom: 40,
        x: { domain: [0, 1], label: 'win rate', ticks: 5 },
        y: { label: 'decisions', grid: true, ticks: 4, tickFormat: 's' },
        marks: [
          plot.rectY(rows, {
            x1: 'from',
            x2: 'to',
            y: 'decisions',
            fill: (row: { from: number }) =>
              row.from + 0.5 / bins >= threshold ? 'var(--accent)' : 'var(--other)',
            insetLeft: 0.4,
            insetRight: 0.4,
          }),
          plot.ruleX([threshold], { stroke: 'var(--text)', strokeWidth: 1.5 }),
          plot.ruleY([0], { stroke: 'var(--line)' }),
        ],
      }
    },
    [key, bins, threshold],
  )
  const live = liveAt(spread, threshold)
  if (!live) return <p class="table-empty muted">No decisions yet.</p>
  return (
    <>
      <Chart
        label={`Win rates of ${count(sum(spread.counts))} decisions: ${percent(live.share, 0)} reach ${rate(threshold)}`}
        options={options}
        height={300}
      />
      <ul class="legend">
        <li>
          <span class="dot" style={{ background: 'var(--accent)' }} />
          to {strong}
        </li>
        <li>
          <span class="dot" style={{ background: 'var(--other)' }} />
          to {weak}
        </li>
      </ul>
    </>
  )
}

/** To two digits: a rate of an hour says no more of a month. */
const rough = (value: number): number => Number(value.toPrecision(2))

const sum = (values: readonly number[]): number => values.reduce((total, one) => total + one, 0)

interface Point {
  readonly share: number
  readonly value: number
  readonly low: number
  readonly high: number
}

/** The curve at a threshold: the largest share whose prompts all reach it. */
function testedAt({ threshold, value, low, high }: CostQuality, at: number): Point {
  const steps = value.length - 1
  let step = 0
  while (step < steps && threshold[step + 1]! >= at) step++
  return { share: step / steps, value: value[step]!, low: low[step]!, high: high[step]! }
}

/** What a threshold would have done with the traffic; dollars are per request. Undefined without traffic. */
function liveAt(
  { counts, priced, strong_usd: strong, weak_usd: weak }: Spread,
  threshold: number,
):
  | { readonly share: number; readonly dollars: number | undefined; readonly allStrong: number }
  | undefined {
  const total = sum(counts)
  if (total === 0) return undefined
  let above = 0
  let spent = 0
  counts.forEach((decisions, i) => {
    // of the bin that the threshold lies in, the part above it
    const part = Math.min(1, Math.max(0, i + 1 - threshold * counts.length))
    above += part * decisions
    spent += part * strong[i]! + (1 - part) * weak[i]!
  })
  return {
    share: above / total,
    dollars: priced > 0 ? spent / priced : undefined,
    allStrong: priced > 0 ? sum(strong) / priced : 0,
  }
}
