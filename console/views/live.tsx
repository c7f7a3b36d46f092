import type { JSX } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Answered, Tick, TrafficRow } from '../../serving/server/console/contract.ts'
import { ApiError, read, send } from '../api.ts'
import {
  compact,
  count,
  dateOf,
  dollars,
  milliseconds,
  percent,
  rate,
  timeOf,
  UNKNOWN,
} from '../format.ts'
import { replaceQuery, usePlace } from '../location.ts'
import { Card, Tag } from '../parts/card.tsx'
import { Icon } from '../parts/icons.tsx'
import { LiveChart } from '../parts/live-chart.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, ErrorNote, WithData } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { poll, useAction, useMay, useRead, useSession } from '../state.ts'
import { everySecond } from '../ticks.ts'

/** Rows that the page keeps; older ones go. */
const ROWS = 100_000
const EVERY_MS = 1_000
const AT_ONCE = 2_000

export default function LiveView(): JSX.Element {
  const overview = useRead('overview', {}, 2_000)
  return (
    <>
      <header class="page-head">
        <div>
          <h1>Live</h1>
          <p>Decisions and requests as they come.</p>
        </div>
      </header>
      <WithData of={overview}>{(data) => <Rates of={data} />}</WithData>
      <Decisions texts={overview.data?.texts ?? true} />
    </>
  )
}

/** Two minutes of rates: what fails, and whose time it is. */
function Rates({ of }: { readonly of: Answered<'overview'> }): JSX.Element {
  const ticks = everySecond(of.seconds, of.now)
  const sums = (field: Exclude<keyof Tick, 'time'>): number =>
    ticks.reduce((sum, tick) => sum + tick[field], 0)
  const times = ticks.map(({ time }) => time)
  const [requests, decisions] = [sums('requests'), sums('decisions')]
  const errors = requests === 0 ? 0 : sums('errors') / requests
  const fallbacks = decisions === 0 ? 0 : sums('fallbacks') / decisions
  const share = (part: (tick: Tick) => number, whole: (tick: Tick) => number): (number | null)[] =>
    smoothed(ticks, part, whole)
  const ours = decisions === 0 ? null : sums('decision_ms') / decisions
  const theirs = requests === 0 ? null : sums('upstream_ms') / requests
  return (
    <div class="grid">
      <Card
        title="Errors and fallbacks"
        more={`${percent(errors)} of requests failed, ${percent(fallbacks)} of decisions fell back, in two minutes`}
      >
        <LiveChart
          label={`In the last two minutes ${percent(errors)} of ${count(requests)} requests failed and ${percent(fallbacks)} of ${count(decisions)} decisions fell back`}
          height={130}
          times={times}
          least={0.02}
          format={(value) => percent(value, 0)}
          lines={[
            {
              name: 'requests that failed',
              colour: '--bad',
              filled: true,
              values: share(
                ({ errors: failed }) => failed,
                (tick) => tick.requests,
              ),
            },
            {
              name: 'decisions that fell back',
              colour: '--warn',
              values: share(
                (tick) => tick.fallbacks,
                (tick) => tick.decisions,
              ),
            },
          ]}
        />
      </Card>
      <Card
        title="Ours against the upstreams"
        more={`A decision takes ${milliseconds(ours)} of ours, a request ${milliseconds(theirs)} of the upstreams’`}
      >
        <LiveChart
          label={`On average a decision takes ${milliseconds(ours)}, and a request ${milliseconds(theirs)} in upstreams`}
          height={130}
          times={times}
          least={1}
          log
          format={milliseconds}
          lines={[
            {
              name: 'upstreams, a request',
              colour: '--other',
              values: share(
                (tick) => tick.upstream_ms,
                (tick) => tick.requests,
              ),
            },
            {
              name: 'ours, a decision',
              colour: '--accent',
              values: share(
                (tick) => tick.decision_ms,
                (tick) => tick.decisions,
              ),
            },
          ]}
        />
      </Card>
    </div>
  )
}

/** Seconds over which a rate is taken. */
const WINDOW = 5

/** At each second, `part` over `whole` of the last seconds; null where there was nothing. */
function smoothed(
  ticks: readonly Tick[],
  part: (tick: Tick) => number,
  whole: (tick: Tick) => number,
): (number | null)[] {
  return ticks.map((_, i) => {
    let [a, b] = [0, 0]
    for (const tick of ticks.slice(Math.max(0, i - WINDOW + 1), i + 1)) {
      a += part(tick)
      b += whole(tick)
    }
    return b === 0 ? null : a / b
  })
}

interface Rows {
  /** newest first */
  readonly rows: readonly TrafficRow[]
  readonly seen: number
}
const NONE: Rows = { rows: [], seen: 0 }

/** The rows so far, newest first, and more every second unless it is paused. */
function useDecisions(paused: boolean): Rows & { readonly error: ApiError | undefined } {
  const [state, setState] = useState<Rows>(NONE)
  const [error, setError] = useState<ApiError>()
  const next = useRef(0)
  useEffect(() => {
    if (paused) return
    return poll(async (signal) => {
      try {
        const answer = await read('decisions', { after: next.current, limit: AT_ONCE }, signal)
        // after a restart the server counts anew
        const fresh = answer.next < next.current
        next.current = answer.next
        if (answer.rows.length > 0 || fresh) {
          setState((before) => ({
            rows: merged(fresh ? [] : before.rows, answer.rows),
            seen: answer.seen,
          }))
        }
        setError(undefined)
        return answer.more ? 0 : EVERY_MS
      } catch (failed) {
        if (!(failed instanceof ApiError)) throw failed
        setError(failed)
        return 2 * EVERY_MS
      }
    })
  }, [paused])
  return { ...state, error }
}

/** @param added oldest first; a row that is known already takes the place of the old one */
function merged(rows: readonly TrafficRow[], added: readonly TrafficRow[]): readonly TrafficRow[] {
  const fresh = new Map(added.map((row) => [row.id, row]))
  const kept: TrafficRow[] = []
  for (const row of rows) {
    const changed = fresh.get(row.id)
    if (changed) fresh.delete(row.id)
    kept.push(changed ?? row)
  }
  return [...[...fresh.values()].reverse(), ...kept].slice(0, ROWS)
}

/** What rows are filtered by, each with the values that a row has for it. */
const FILTERS = {
  route: { name: 'Route', of: (row: TrafficRow) => [row.rule ?? row.endpoint] },
  model: { name: 'Model', of: (row: TrafficRow) => [row.model ?? 'none'] },
  key: { name: 'Key', of: (row: TrafficRow) => (row.key === null ? [] : [row.key]) },
  step: { name: 'Step', of: (row: TrafficRow) => [row.step] },
  flag: { name: 'Flag', of: (row: TrafficRow) => row.flags.map((flag) => flag.split(':')[0]!) },
} as const
type Filter = keyof typeof FILTERS
const FILTER_NAMES = Object.keys(FILTERS) as Filter[]
/** Values of a filter that are offered. */
const OFFERED = 50
/** Rows in which they are looked for. */
const LOOKED_AT = 5_000

function Decisions({ texts }: { readonly texts: boolean }): JSX.Element {
  const [paused, setPaused] = useState(false)
  const { rows, seen, error } = useDecisions(paused)
  const { query } = usePlace()
  const [openId, setOpenId] = useState<string>()
  const active = FILTER_NAMES.filter((name) => query[name])
  const filterKey = active.map((name) => `${name}=${query[name]}`).join('&')
  const shown = useMemo(
    () =>
      active.length === 0
        ? rows
        : rows.filter((row) =>
            active.every((name) => FILTERS[name].of(row).includes(query[name]!)),
          ),
    [rows, filterKey],
  )
  const opened = openId === undefined ? undefined : rows.find(({ id }) => id === openId)
  return (
    <Card
      title="Decisions"
      wide
      more={`${count(shown.length)} ${active.length > 0 ? `of ${count(rows.length)} ` : ''}rows of ${compact(seen)}: where there are many, a sample, and errors and fallbacks before others`}
      actions={
        <button
          type="button"
          class="button"
          aria-pressed={paused}
          onClick={() => setPaused(!paused)}
        >
          <Icon name={paused ? 'play' : 'pause'} size={16} /> {paused ? 'Go on' : 'Pause'}
        </button>
      }
    >
      {error && !error.unreachable && <ErrorNote error={error} />}
      <Filters rows={rows} query={query} />
      <div class={opened ? 'with-panel' : undefined}>
        <Table
          label="Decisions"
          columns={columnsOf(texts, opened !== undefined)}
          rows={shown}
          keyOf={idOf}
          height={560}
          onOpen={({ id }) => setOpenId(id)}
          opened={openId}
          empty={
            active.length > 0 ? (
              'No row fits these filters.'
            ) : (
              <Empty title="No decision yet.">
                Send a chat to <code>/v1/chat/completions</code>, or ask <code>/route</code>.
              </Empty>
            )
          }
        />
        {opened && <Opened row={opened} close={() => setOpenId(undefined)} />}
      </div>
    </Card>
  )
}

const idOf = ({ id }: TrafficRow): string => id

function Filters({
  rows,
  query,
}: {
  readonly rows: readonly TrafficRow[]
  readonly query: Readonly<Record<string, string>>
}): JSX.Element {
  const active = FILTER_NAMES.some((name) => query[name])
  return (
    <div class="filters">
      {FILTER_NAMES.map((name) => {
        const values = new Set<string>(query[name] ? [query[name]] : [])
        for (const row of rows.slice(0, LOOKED_AT)) {
          for (const value of FILTERS[name].of(row)) if (values.size < OFFERED) values.add(value)
        }
        return (
          <label key={name}>
            {FILTERS[name].name}
            <select
              value={query[name] ?? ''}
              onChange={({ currentTarget }) => {
                const { [name]: _, ...others } = query
                const { value } = currentTarget
                replaceQuery(value === '' ? others : { ...others, [name]: value })
              }}
            >
              <option value="">all</option>
              {[...values].sort().map((value) => (
                <option key={value} value={value}>
                  {value}
                </option>
              ))}
            </select>
          </label>
        )
      })}
      {active && (
        <button type="button" class="button" onClick={() => replaceQuery({})}>
          Clear
        </button>
      )}
    </div>
  )
}

const toneOf = (flag: string): 'bad' | 'warn' | 'plain' =>
  flag === 'error' ? 'bad' : /^(fallback|failover|refused|truncated)/.test(flag) ? 'warn' : 'plain'

const Flags = ({ of }: { readonly of: readonly string[] }): JSX.Element => (
  <>
    {of.map((flag) => (
      <>
        <Tag key={flag} tone={toneOf(flag)}>
          {flag}
        </Tag>{' '}
      </>
    ))}
  </>
)

/** @param narrow a panel is open beside the table */
function columnsOf(texts: boolean, narrow: boolean): readonly Column<TrafficRow>[] {
  const all: (Column<TrafficRow> & { readonly first?: boolean })[] = [
    { name: 'Time', width: '5rem', first: true, cell: ({ time }) => timeOf(time) },
    {
      name: 'Model',
      width: 'minmax(5rem, 1fr)',
      first: true,
      cell: ({ model }) => model ?? <span class="muted">none</span>,
    },
    {
      name: 'Win rate',
      width: '5.5rem',
      numeric: true,
      first: true,
      cell: ({ win_rate, threshold }) => (
        <span class={win_rate !== null && win_rate >= (threshold ?? 1) ? 'strong' : undefined}>
          {rate(win_rate)}
        </span>
      ),
    },
    {
      name: 'Step',
      width: 'minmax(6rem, 1fr)',
      wideOnly: true,
      cell: ({ step, rule }) => rule ?? step,
    },
    {
      name: 'Key',
      width: 'minmax(5rem, 1fr)',
      wideOnly: true,
      cell: ({ key }) => key ?? UNKNOWN,
    },
    {
      name: 'Time taken',
      width: '6rem',
      numeric: true,
      wideOnly: true,
      cell: ({ ms, decision_ms }) => milliseconds(ms ?? decision_ms),
    },
    {
      name: 'Cost',
      width: '6.5rem',
      numeric: true,
      wideOnly: true,
      cell: ({ cost_usd }) => dollars(cost_usd),
    },
    {
      name: 'Flags',
      width: 'minmax(6rem, 1.4fr)',
      first: true,
      cell: ({ flags }) => <Flags of={flags} />,
    },
  ]
  const text: Column<TrafficRow> = {
    name: 'Prompt',
    width: 'minmax(10rem, 3fr)',
    wideOnly: true,
    cell: ({ text: shown, prompt_hash }) =>
      shown ?? <span class="muted mono">{prompt_hash ?? ''}</span>,
  }
  if (narrow) return all.filter(({ first }) => first)
  return texts ? [...all, text] : all
}

function Opened({
  row,
  close,
}: {
  readonly row: TrafficRow
  readonly close: () => void
}): JSX.Element {
  const { win_rate, threshold, attempts, checks, trace } = row
  return (
    <Panel title="Decision" close={close}>
      {row.text !== null && <p class="quote">{row.text}</p>}
      <p>
        <Flags of={row.flags} />
      </p>
      <dl class="pairs">
        <dt>Model</dt>
        <dd>{row.model ?? 'none answered'}</dd>
        {win_rate !== null && (
          <>
            <dt>Win rate</dt>
            <dd>
              {rate(win_rate)} against the threshold {rate(threshold)}
            </dd>
          </>
        )}
        <dt>Decided by</dt>
        <dd>
          {row.step}
          {row.rule && ` ${row.rule}`} ({row.reason})
        </dd>
        {row.propensity < 1 && (
          <>
            <dt>Probability</dt>
            <dd>{percent(row.propensity)} for this model</dd>
          </>
        )}
        <dt>When</dt>
        <dd>{dateOf(row.time)}</dd>
        {row.key !== null && (
          <>
            <dt>Key</dt>
            <dd>{row.key}</dd>
          </>
        )}
        {row.session !== null && (
          <>
            <dt>Session</dt>
            <dd>{row.session}</dd>
          </>
        )}
        {row.router !== null && (
          <>
            <dt>Router</dt>
            <dd>
              {row.router} <code>{row.version?.slice(0, 12)}</code>
            </dd>
          </>
        )}
        <dt>Time</dt>
        <dd>
          {milliseconds(row.decision_ms)} to decide
          {row.ms !== null && `, ${milliseconds(row.ms)} in all`}
          {row.first_byte_ms !== null && `, ${milliseconds(row.first_byte_ms)} to the first byte`}
        </dd>
        {row.cost_usd !== null && (
          <>
            <dt>Money</dt>
            <dd>
              {dollars(row.cost_usd)} spent
              {row.saved_usd !== null && `, ${dollars(row.saved_usd)} saved`}
            </dd>
          </>
        )}
        {row.status !== null && (
          <>
            <dt>Status</dt>
            <dd>
              {row.status}
              {row.code !== null && ` ${row.code}`}
            </dd>
          </>
        )}
        {trace !== null && (
          <>
            <dt>Trace</dt>
            <dd>
              <code>{trace}</code>
            </dd>
          </>
        )}
        <dt>Id</dt>
        <dd>
          <code>{row.id}</code>
        </dd>
      </dl>
      {attempts.length > 0 && (
        <>
          <h3>Attempts</h3>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls sideways must be reached by the keyboard */}
          <section class="scroll-x" aria-label="Attempts" tabIndex={0}>
            <table class="list">
              <thead>
                <tr>
                  <th>Model</th>
                  <th>Upstream</th>
                  <th>Outcome</th>
                  <th class="numeric">Time</th>
                  <th class="numeric">Cost</th>
                </tr>
              </thead>
              <tbody>
                {attempts.map((attempt, i) => (
                  <tr key={i}>
                    <td>{attempt.model}</td>
                    <td>{attempt.upstream}</td>
                    <td>
                      <Tag tone={attempt.outcome === 'answered' ? 'good' : 'warn'}>
                        {attempt.outcome}
                      </Tag>
                    </td>
                    <td class="numeric">{milliseconds(attempt.ms)}</td>
                    <td class="numeric">{dollars(attempt.cost_usd)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        </>
      )}
      {checks.length > 0 && (
        <>
          <h3>Checks</h3>
          <table class="list">
            <thead>
              <tr>
                <th>Check</th>
                <th>Model</th>
                <th class="numeric">Score</th>
                <th>Result</th>
              </tr>
            </thead>
            <tbody>
              {checks.map((check, i) => (
                <tr key={i}>
                  <td>{check.check}</td>
                  <td>{check.model}</td>
                  <td class="numeric">{rate(check.score)}</td>
                  <td>
                    <Tag tone={check.passed ? 'good' : 'warn'}>
                      {check.passed ? 'passed' : 'failed'}
                    </Tag>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
      <Rating key={row.id} row={row} />
    </Panel>
  )
}

/** Buttons that rate the answer, for those who may. */
function Rating({ row }: { readonly row: TrafficRow }): JSX.Element | null {
  const may = useMay('operator')
  const { endpoints } = useSession()
  const [given, setGiven] = useState<number>()
  const { run, busy, error } = useAction(async (score: number) => {
    await send('rate', { decision_id: row.id, score, ...(row.model ? { model: row.model } : {}) })
    setGiven(score)
  })
  if (!may || row.model === null || !endpoints.includes('rate')) return null
  const choices = [
    ['Good', 1],
    ['Partly', 0.5],
    ['Bad', 0],
  ] as const
  return (
    <div class="rating">
      <h3>How good was the answer?</h3>
      <div class="row">
        {choices.map(([name, score]) => (
          <button
            type="button"
            class={`button${given === score ? ' primary' : ''}`}
            aria-pressed={given === score}
            disabled={busy}
            key={name}
            onClick={() => void run(score)}
          >
            {name}
          </button>
        ))}
        <span role="status" class="muted small">
          {given !== undefined && 'Kept as feedback.'}
        </span>
      </div>
      {error && <ErrorNote error={error} />}
    </div>
  )
}
