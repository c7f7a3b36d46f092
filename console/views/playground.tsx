import type { JSX } from 'preact'
import { useEffect, useId, useState } from 'preact/hooks'
import type { Answered, Asked } from '../../serving/server/console/contract.ts'
import { ApiError, send } from '../api.ts'
import { dollars, percent, rate, UNKNOWN } from '../format.ts'
import { usePlace } from '../location.ts'
import { Bar } from '../parts/bar.tsx'
import { Card, Tag } from '../parts/card.tsx'
import { Icon } from '../parts/icons.tsx'
import { Empty, ErrorNote, WithData } from '../parts/states.tsx'
import { useMay, useRead, useSession } from '../state.ts'

type Answer = Answered<'playground'>
type Decision = NonNullable<Answer['decision']>
type Router = Answered<'overview'>['routers'][number]

interface Turn {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

interface Draft {
  readonly turns: readonly Turn[]
  /** of the server’s routers; undefined is its default */
  readonly router: string | undefined
  /** undefined is the router’s own */
  readonly threshold: number | undefined
  readonly metadata: readonly { readonly name: string; readonly value: string }[]
  /** an edited policy; undefined is what serves */
  readonly policy: string | undefined
}

const EXAMPLES: readonly string[] = [
  'Thanks for your help yesterday! Any idea for a rainy Sunday in Ghent?',
  'Write a Rust queue that is lock-free, safe under concurrent writers and proven free of deadlock.',
  'Prove that the sum of the first n odd cubes is n²(2n² − 1).',
]

const EMPTY: Draft = {
  turns: [{ role: 'user', content: '' }],
  router: undefined,
  threshold: undefined,
  metadata: [],
  policy: undefined,
}

/** Kept while other views are open. */
let kept: Draft = EMPTY

/** Milliseconds without a change before a draft is tried. */
const PAUSE_MS = 250

export default function PlaygroundView(): JSX.Element {
  const overview = useRead('overview')
  return (
    <>
      <header class="page-head">
        <div>
          <h1>Playground</h1>
          <p>What would be decided, and why. Nothing is logged, and no model is asked.</p>
        </div>
      </header>
      <WithData of={overview}>
        {({ routers, policies }) => <Playground routers={routers} policies={policies.length > 0} />}
      </WithData>
    </>
  )
}

function Playground({
  routers,
  policies,
}: {
  readonly routers: readonly Router[]
  readonly policies: boolean
}): JSX.Element {
  const { query } = usePlace()
  const [draft, setDraft] = useState<Draft>(() =>
    query.prompt === undefined
      ? kept
      : { ...EMPTY, turns: [{ role: 'user', content: query.prompt }] },
  )
  const change = (some: Partial<Draft>): void => {
    setDraft((before) => {
      kept = { ...before, ...some }
      return kept
    })
  }
  const { answer, error, pending } = useTried(draft)
  const router = routers.find(({ name }) => name === draft.router) ?? routers[0]
  const asked = draft.turns.some(({ content }) => content.trim() !== '')
  return (
    <div class="halves">
      <div class="stack">
        <Conversation turns={draft.turns} onChange={(turns) => change({ turns })} />
        <Settings
          draft={draft}
          routers={routers}
          router={router}
          policies={policies}
          decision={answer?.decision}
          change={change}
        />
      </div>
      <div class={`stack${pending ? ' pending' : ''}`} aria-live="polite" aria-busy={pending}>
        {error && <ErrorNote error={error} />}
        {!asked && <Start onPick={(content) => change({ turns: [{ role: 'user', content }] })} />}
        {asked && answer?.decision && <Verdict decision={answer.decision} router={router} />}
        {asked && answer && <PolicyWord answer={answer} />}
        {asked && answer?.decision && <Candidates decision={answer.decision} />}
        {asked && answer?.decision?.explanation && <Why decision={answer.decision} />}
      </div>
    </div>
  )
}

/** Asks what would be decided when the draft has rested; keeps the last answer meanwhile. */
function useTried(draft: Draft): {
  readonly answer: Answer | undefined
  readonly error: ApiError | undefined
  readonly pending: boolean
} {
  const [state, setState] = useState<{ answer: Answer | undefined; error: ApiError | undefined }>({
    answer: undefined,
    error: undefined,
  })
  const [pending, setPending] = useState(false)
  useEffect(() => {
    const request = requestOf(draft)
    if (!request) {
      setState({ answer: undefined, error: undefined })
      setPending(false)
      return
    }
    const ending = new AbortController()
    setPending(true)
    const timer = setTimeout(async () => {
      try {
        const answer = await send(
          'playground',
          draft.policy === undefined ? { request } : { request, policy: draft.policy },
          ending.signal,
        )
        setState({ answer, error: undefined })
      } catch (error) {
        if (ending.signal.aborted) return
        if (!(error instanceof ApiError)) throw error
        setState((before) => ({ ...before, error }))
      }
      setPending(false)
    }, PAUSE_MS)
    return () => {
      clearTimeout(timer)
      ending.abort()
    }
  }, [draft])
  return { ...state, pending }
}

/** Undefined while there is nothing to route. */
function requestOf({
  turns,
  router,
  threshold,
  metadata,
}: Draft): Asked<'playground'>['request'] | undefined {
  const said = turns.filter(({ content }) => content.trim() !== '')
  if (said.length === 0) return undefined
  const declared = metadata.filter(({ name, value }) => name.trim() !== '' && value !== '')
  return {
    messages: said.map(({ role, content }) => ({ role, content })),
    ...(router === undefined ? {} : { router }),
    ...(threshold === undefined ? {} : { threshold }),
    ...(declared.length === 0
      ? {}
      : { metadata: Object.fromEntries(declared.map(({ name, value }) => [name, value])) }),
  }
}

function Start({ onPick }: { readonly onPick: (prompt: string) => void }): JSX.Element {
  return (
    <Empty title="Type a prompt to see where it would go.">
      <p>Or take one of these:</p>
      <ul class="examples">
        {EXAMPLES.map((prompt) => (
          <li key={prompt}>
            <button type="button" class="button" onClick={() => onPick(prompt)}>
              {prompt}
            </button>
          </li>
        ))}
      </ul>
    </Empty>
  )
}

const ROLES = ['user', 'assistant', 'system'] as const

function Conversation({
  turns,
  onChange,
}: {
  readonly turns: readonly Turn[]
  readonly onChange: (turns: readonly Turn[]) => void
}): JSX.Element {
  const id = useId()
  const set = (at: number, some: Partial<Turn>): void =>
    onChange(turns.map((turn, i) => (i === at ? { ...turn, ...some } : turn)))
  const next: Turn = { role: turns.at(-1)?.role === 'user' ? 'assistant' : 'user', content: '' }
  return (
    <Card title="Request">
      {turns.map((turn, i) => (
        <div class="turn" key={`${id}-${i}`}>
          <div class="row spread">
            <label for={`${id}-text-${i}`}>{turns.length === 1 ? 'Prompt' : `Turn ${i + 1}`}</label>
            {turns.length > 1 && (
              <span class="row">
                <select
                  aria-label={`Who says turn ${i + 1}`}
                  value={turn.role}
                  onChange={({ currentTarget }) =>
                    set(i, { role: currentTarget.value as Turn['role'] })
                  }
                >
                  {ROLES.map((role) => (
                    <option key={role}>{role}</option>
                  ))}
                </select>
                <button
                  type="button"
                  class="icon-button"
                  aria-label={`Remove turn ${i + 1}`}
                  onClick={() => onChange(turns.filter((_, at) => at !== i))}
                >
                  <Icon name="close" size={16} />
                </button>
              </span>
            )}
          </div>
          <textarea
            id={`${id}-text-${i}`}
            rows={turns.length === 1 ? 7 : 3}
            value={turn.content}
            maxLength={200_000}
            spellcheck={false}
            onInput={({ currentTarget }) => set(i, { content: currentTarget.value })}
          />
        </div>
      ))}
      <div class="row">
        <button type="button" class="button" onClick={() => onChange([...turns, next])}>
          <Icon name="plus" size={16} /> Add a turn
        </button>
        {turns.some(({ content }) => content !== '') && (
          <button type="button" class="button" onClick={() => onChange(EMPTY.turns)}>
            Clear
          </button>
        )}
      </div>
    </Card>
  )
}

function Settings({
  draft,
  routers,
  router,
  policies,
  decision,
  change,
}: {
  readonly draft: Draft
  readonly routers: readonly Router[]
  readonly router: Router | undefined
  readonly policies: boolean
  readonly decision: Decision | undefined
  readonly change: (some: Partial<Draft>) => void
}): JSX.Element {
  const id = useId()
  const operator = useMay('operator')
  const { endpoints } = useSession()
  const own = router?.threshold ?? 0.5
  const threshold = draft.threshold ?? own
  const known = router?.context ?? []
  const rows = [
    ...known
      .filter((name) => !draft.metadata.some((one) => one.name === name))
      .map((name) => ({ name, value: '' })),
    ...draft.metadata,
  ]
  const setRow = (at: number, some: Partial<{ name: string; value: string }>): void =>
    change({ metadata: rows.map((row, i) => (i === at ? { ...row, ...some } : row)) })
  return (
    <Card title="What if" later>
      {routers.length > 1 && (
        <div>
          <label for={`${id}-router`}>Router</label>
          <select
            id={`${id}-router`}
            value={router?.name}
            onChange={({ currentTarget }) =>
              change({ router: currentTarget.value, threshold: undefined })
            }
          >
            {routers.map(({ name }) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </div>
      )}
      {router && (
        <div class={routers.length > 1 ? 'field' : undefined}>
          <div class="row spread">
            <label for={`${id}-threshold`}>Threshold</label>
            <span class="small">
              <output for={`${id}-threshold`}>{rate(threshold)}</output>{' '}
              {draft.threshold === undefined ? (
                <span class="muted">as served</span>
              ) : (
                <button type="button" class="link" onClick={() => change({ threshold: undefined })}>
                  back to {rate(own)}
                </button>
              )}
            </span>
          </div>
          <input
            id={`${id}-threshold`}
            type="range"
            min="0"
            max="1"
            step="0.001"
            value={threshold}
            aria-valuetext={rate(threshold)}
            onInput={({ currentTarget }) => change({ threshold: Number(currentTarget.value) })}
          />
          {decision?.choice && (
            <p class="muted small">
              This router chooses among {router.models.length} models by a rule; a threshold asks
              about its pair alone.
            </p>
          )}
        </div>
      )}
      <fieldset class="field">
        <legend class="label">Context and metadata</legend>
        {rows.length === 0 && (
          <p class="muted small">
            What a request declares of itself, such as its tenant: rules may read it, and routers
            that learned it.
          </p>
        )}
        {rows.map((row, i) => (
          <div class="key-value" key={`${id}-${i}`}>
            <input
              aria-label="Name"
              placeholder="name"
              maxLength={100}
              value={row.name}
              readOnly={known.includes(row.name)}
              onInput={({ currentTarget }) => setRow(i, { name: currentTarget.value })}
            />
            <input
              aria-label={`Value of ${row.name || 'the new name'}`}
              placeholder="value"
              maxLength={1000}
              value={row.value}
              onInput={({ currentTarget }) => setRow(i, { value: currentTarget.value })}
            />
            <button
              type="button"
              class="icon-button"
              aria-label={`Remove ${row.name || 'this row'}`}
              onClick={() => change({ metadata: rows.filter((_, at) => at !== i) })}
            >
              <Icon name="close" size={16} />
            </button>
          </div>
        ))}
        <button
          type="button"
          class="button small"
          onClick={() => change({ metadata: [...rows, { name: '', value: '' }] })}
        >
          <Icon name="plus" size={16} /> Add a value
        </button>
      </fieldset>
      {policies && operator && endpoints.includes('policies') && (
        <PolicyText text={draft.policy} change={(policy) => change({ policy })} />
      )}
    </Card>
  )
}

/** Tries another text of the policy, which serves nobody. */
function PolicyText({
  text,
  change,
}: {
  readonly text: string | undefined
  readonly change: (text: string | undefined) => void
}): JSX.Element {
  const id = useId()
  const served = useRead('policies')
  const before = served.data?.policies[0]?.text
  if (text === undefined) {
    return (
      <div class="field">
        <button
          type="button"
          class="button"
          disabled={before === undefined}
          onClick={() => change(before)}
        >
          Try another policy text
        </button>
      </div>
    )
  }
  return (
    <div class="field">
      <div class="row spread">
        <label for={id}>Policy, tried here only</label>
        <button type="button" class="link" onClick={() => change(undefined)}>
          back to what serves
        </button>
      </div>
      <textarea
        id={id}
        class="mono"
        rows={14}
        spellcheck={false}
        value={text}
        onInput={({ currentTarget }) => change(currentTarget.value)}
      />
    </div>
  )
}

/** Reasons of decisions, in words. */
const REASONS: Readonly<Record<string, string>> = {
  win_rate_reached: 'its win rate reaches the threshold',
  win_rate_below: 'the win rate stays below the threshold',
  best_value: 'the best value among the models',
  cheapest_within: 'the cheapest within the loss that is allowed',
  only_allowed: 'the only model that is allowed',
  out_of_distribution: 'the prompt is unlike the training prompts',
  fallback: 'the router could not answer in time',
  explored: 'drawn to learn from',
}

function Verdict({
  decision,
  router,
}: {
  readonly decision: Decision
  readonly router: Router | undefined
}): JSX.Element {
  const { model, win_rate: winRate, threshold, reason, explanation, ood } = decision
  const strong = model === router?.strong
  const { flip } = explanation ?? {}
  return (
    <section class="card verdict" aria-label="Decision">
      <p class="muted small">goes to</p>
      <p class={`verdict-model${strong ? ' strong' : ''}`}>{model}</p>
      <p class="verdict-reason">{REASONS[reason] ?? reason}</p>
      {winRate !== null && (
        <div class="meter">
          <Bar
            label="Win rate"
            value={winRate}
            mark={threshold}
            tone={strong ? 'accent' : 'plain'}
            text={`${rate(winRate)}, threshold ${rate(threshold)}`}
          />
          <p class="row spread small">
            <span>
              win rate of {router?.strong ?? 'the strong model'} <strong>{rate(winRate)}</strong>
            </span>
            <span>
              threshold <strong>{rate(threshold)}</strong>
            </span>
          </p>
        </div>
      )}
      <p class="row">
        {flip && (
          <span class="small muted">
            With a threshold {flip.when} {rate(flip.threshold)} it would go to {flip.model}.
          </span>
        )}
        {decision.fallback && <Tag tone="warn">fallback: {decision.fallback_reason}</Tag>}
        {decision.truncated && <Tag tone="warn">too long for the encoder: cut</Tag>}
        {ood !== undefined && ood > 0.95 && (
          <Tag tone="warn">unlike {percent(ood, 0)} of the training prompts</Tag>
        )}
        {!decision.calibrated && <Tag>win rates not calibrated</Tag>}
      </p>
    </section>
  )
}

function PolicyWord({ answer }: { readonly answer: Answer }): JSX.Element | null {
  const { policy, policy_error: error } = answer
  if (error !== undefined) {
    return (
      <Card title="Policy">
        <p class="note note-bad" role="alert">
          {error}
        </p>
      </Card>
    )
  }
  if (!policy) return null
  return (
    <Card title="Policy" more={`${policy.name} ${policy.hash.slice(0, 12)}`}>
      <p>
        {policy.kind === 'refuse' ? (
          <>
            <Tag tone="bad">refuses</Tag> {policy.message}
          </>
        ) : (
          <>
            asks <strong>{policy.models[0]}</strong>
            {policy.models.length > 1 && (
              <span class="muted">, then {policy.models.slice(1).join(', ')}</span>
            )}
            {policy.strategy !== 'single' && <Tag tone="accent">{policy.strategy}</Tag>}
          </>
        )}
      </p>
      {!policy.certain && <p class="muted small">A model’s answer might change it.</p>}
      <ol class="steps">
        {policy.steps.map(({ step, name, reason, matched }) => (
          <li key={`${step}${name}`} class={step === policy.step ? 'decides' : undefined}>
            <span class={matched ? 'step-dot on' : 'step-dot'} />
            <span>
              <code>{step}</code> {name && <strong>{name}</strong>}{' '}
              <span class="muted">{reason}</span>
            </span>
            {step === policy.step && <Tag tone="accent">decides</Tag>}
          </li>
        ))}
      </ol>
    </Card>
  )
}

function Candidates({ decision }: { readonly decision: Decision }): JSX.Element {
  const total = decision.candidates.reduce((sum, { score }) => sum + score, 0)
  // a pair's scores are how likely each wins; other scores are how likely each is right
  const pair = !decision.choice && decision.candidates.length === 2 && Math.abs(total - 1) < 1e-6
  return (
    <Card
      title="Candidates"
      more={
        pair
          ? 'How likely each gives the better answer, and what it would cost'
          : 'How likely each gives a right answer, and what it would cost'
      }
    >
      <table class="list">
        <thead>
          <tr>
            <th>Model</th>
            <th class="share-cell">{pair ? 'Better' : 'Right'}</th>
            <th class="numeric">Cost</th>
          </tr>
        </thead>
        <tbody>
          {decision.candidates.map(({ model, score, eligible, reason, est_cost_usd: cost }) => (
            <tr key={model} class={eligible ? undefined : 'muted'}>
              <td>
                {model} {model === decision.model && <Tag tone="accent">chosen</Tag>}
                {!eligible && <Tag>{reason.replaceAll('_', ' ')}</Tag>}
              </td>
              <td class="share-cell">
                <span class="row nowrap">
                  <Bar
                    label={`${model}: score`}
                    value={score}
                    tone={model === decision.model ? 'accent' : 'plain'}
                  />
                  <span>{percent(score, 0)}</span>
                </span>
              </td>
              <td class="numeric">{cost === null ? UNKNOWN : dollars(cost)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  )
}

const FEATURES_SHOWN = 10

function Why({ decision }: { readonly decision: Decision }): JSX.Element {
  const { features, neighbours, neighbourhood, read, note, observational, rules } =
    decision.explanation!
  const shown = features.slice(0, FEATURES_SHOWN)
  const most = Math.max(...shown.map(({ contribution }) => Math.abs(contribution)), 1e-9)
  return (
    <Card title="Why" more="What moved the win rate: to the right, towards the strong model">
      {shown.length > 0 && (
        <ul class="features">
          {shown.map(({ name, contribution }) => (
            <li key={name}>
              <span class="feature-name" title={name}>
                {name}
              </span>
              <span class="diverging" aria-hidden="true">
                <span
                  class={contribution >= 0 ? 'up' : 'down'}
                  style={{ width: `${(50 * Math.abs(contribution)) / most}%` }}
                />
              </span>
              <span class="numeric">
                {contribution >= 0 ? '+' : '−'}
                {Math.abs(contribution).toFixed(2)}
              </span>
            </li>
          ))}
        </ul>
      )}
      {neighbours && neighbours.length > 0 && (
        <>
          <h3 class="sub">Most similar training prompts</h3>
          <ul class="neighbours">
            {neighbours.map(({ prompt_hash: hash, text, similarity, win_rate: its }) => (
              <li key={hash}>
                <p>{text ?? <code>{hash}</code>}</p>
                <p class="muted small">
                  similarity {similarity.toFixed(2)} · strong won {percent(its, 0)}
                </p>
              </li>
            ))}
          </ul>
          {neighbourhood && (
            <p class="muted small">
              {neighbourhood.others.count} others weigh {percent(neighbourhood.others.weight, 0)}.
            </p>
          )}
        </>
      )}
      {rules && rules.length > 0 && (
        <>
          <h3 class="sub">Other steps</h3>
          <ul class="rules">
            {rules.map(({ step, name, reason, matched }) => (
              <li key={`${step}${name}`} class={matched ? undefined : 'muted'}>
                <code>{step}</code> {name} {reason}
              </li>
            ))}
          </ul>
        </>
      )}
      {observational && <p class="muted small">{observational}</p>}
      {note && <p class="muted small">{note}</p>}
      {read !== undefined && (
        <details>
          <summary>What the router read of the request</summary>
          <pre>{read}</pre>
        </details>
      )}
    </Card>
  )
}
