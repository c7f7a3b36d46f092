import type { JSX } from 'preact'
import { useId, useState } from 'preact/hooks'
import type { Answered, Job } from '../../serving/server/console/contract.ts'
import { send } from '../api.ts'
import { compact, count, duration } from '../format.ts'
import { Card, Tag } from '../parts/card.tsx'
import { ErrorNote, WithData } from '../parts/states.tsx'
import { useAction, useRead } from '../state.ts'

/** Bytes of a file that are sent at once. */
const PART_BYTES = 512 * 1024

export default function LogsView(): JSX.Element {
  const data = useRead('data', {}, 1_500)
  const [picked, setPicked] = useState<string>()
  return (
    <>
      <header class="page-head">
        <div>
          <h1>Data</h1>
          <p>
            Drop a log in: see how it is read and what it could train, and train from it on this
            machine.
          </p>
        </div>
      </header>
      <div class="stack">
        <Drop
          onDone={(name) => {
            setPicked(name)
            data.reload()
          }}
        />
        <WithData of={data}>
          {({ files, jobs, folder }) => (
            <>
              {files.length > 0 && (
                <Card title="Logs" more={`Dropped files are kept in ${folder}`}>
                  <ul class="files">
                    {files.map(({ name, bytes }) => (
                      <li key={name}>
                        <button
                          type="button"
                          class={`button${name === picked ? ' primary' : ''}`}
                          aria-pressed={name === picked}
                          onClick={() => setPicked(name)}
                        >
                          {name}
                        </button>
                        <span class="muted small">{size(bytes)}</span>
                      </li>
                    ))}
                  </ul>
                </Card>
              )}
              {picked !== undefined && files.some(({ name }) => name === picked) && (
                <Explained key={picked} name={picked} onStart={data.reload} />
              )}
              {jobs.map((job) => (
                <Run key={job.id} job={job} />
              ))}
            </>
          )}
        </WithData>
      </div>
    </>
  )
}

const size = (bytes: number): string =>
  bytes < 1e6 ? `${count(Math.ceil(bytes / 1000))} kB` : `${(bytes / 1e6).toFixed(1)} MB`

function Drop({ onDone }: { readonly onDone: (name: string) => void }): JSX.Element {
  const id = useId()
  const [over, setOver] = useState(false)
  const [sent, setSent] = useState(0)
  const { run, busy, error } = useAction(async (file: File) => {
    const name = file.name
      .replace(/[^A-Za-z0-9._ -]/g, '_')
      .replace(/^[^A-Za-z0-9_]/, '_')
      .slice(0, 100)
    let offset = 0
    do {
      const part = await base64(file.slice(offset, offset + PART_BYTES))
      const { bytes } = await send('data_put', { name, offset, part })
      offset = bytes
      setSent(file.size === 0 ? 1 : offset / file.size)
    } while (offset < file.size)
    return name
  })
  const take = (file: File | undefined): void => {
    if (file) void run(file).then((name) => name !== undefined && onDone(name))
  }
  return (
    <section
      class={`card drop${over ? ' over' : ''}`}
      aria-label="Drop a log"
      onDragOver={(event) => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault()
        setOver(false)
        take(event.dataTransfer?.files[0])
      }}
    >
      <label class="button primary" for={id}>
        {busy ? `Reading… ${Math.round(100 * sent)}%` : 'Choose a log'}
      </label>
      <input
        id={id}
        class="hidden"
        type="file"
        disabled={busy}
        onChange={({ currentTarget }) => take(currentTarget.files?.[0])}
      />
      <p class="muted">
        or drop it here: JSONL, JSON, CSV or Parquet, packed or not. It stays on this machine.
      </p>
      {error && <ErrorNote error={error} />}
    </section>
  )
}

/** The bytes in base64. */
async function base64(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer())
  let text = ''
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000))
  }
  return btoa(text)
}

function Explained({
  name,
  onStart,
}: {
  readonly name: string
  readonly onStart: () => void
}): JSX.Element {
  const [found, setFound] = useState<Answered<'data_explain'>>()
  const { run, busy, error } = useAction((pair: { strong?: string; weak?: string }) =>
    send('data_explain', { name, ...pair }),
  )
  const ask = (pair: { strong?: string; weak?: string } = {}): void => {
    void run(pair).then((answer) => answer && setFound(answer))
  }
  return (
    <Card
      title={`How ${name} is read`}
      actions={
        <button type="button" class="button" disabled={busy} onClick={() => ask()}>
          {busy ? 'Reading…' : found ? 'Read it again' : 'Read it'}
        </button>
      }
    >
      {error && <ErrorNote error={error} />}
      {found && (
        <>
          <pre class="output">{found.read}</pre>
          <h3 class="sub">What it holds</h3>
          <pre class="output">{found.holds}</pre>
          {found.models.length >= 2 && (
            <Train name={name} models={found.models} onPair={ask} onStart={onStart} />
          )}
        </>
      )}
    </Card>
  )
}

function Train({
  name,
  models,
  onPair,
  onStart,
}: {
  readonly name: string
  readonly models: readonly string[]
  readonly onPair: (pair: { strong: string; weak: string }) => void
  readonly onStart: () => void
}): JSX.Element {
  const id = useId()
  const [strong, setStrong] = useState(models[0]!)
  const [weak, setWeak] = useState(models[1]!)
  const [router, setRouter] = useState('dropped')
  const { run, busy, error } = useAction(() => send('data_train', { name, strong, weak, router }))
  const fields = [
    ['Strong model', strong, setStrong],
    ['Weak model', weak, setWeak],
  ] as const
  return (
    <form
      class="train"
      onSubmit={(event) => {
        event.preventDefault()
        void run().then((job) => job && onStart())
      }}
    >
      <h3 class="sub">Train a router from it</h3>
      <div class="row">
        {fields.map(([label, value, set], i) => (
          <span key={label}>
            <label for={`${id}-${i}`}>{label}</label>
            <select
              id={`${id}-${i}`}
              value={value}
              onChange={({ currentTarget }) => set(currentTarget.value)}
            >
              {models.map((model) => (
                <option key={model}>{model}</option>
              ))}
            </select>
          </span>
        ))}
        <span>
          <label for={`${id}-name`}>Name</label>
          <input
            id={`${id}-name`}
            value={router}
            required
            pattern="[A-Za-z0-9][A-Za-z0-9._\-]*"
            maxLength={60}
            onInput={({ currentTarget }) => setRouter(currentTarget.value)}
          />
        </span>
      </div>
      <div class="row field">
        <button
          type="button"
          class="button"
          disabled={strong === weak}
          onClick={() => onPair({ strong, weak })}
        >
          What could the pair gain?
        </button>
        <button type="submit" class="button primary" disabled={busy || strong === weak}>
          Train
        </button>
      </div>
      {error && <ErrorNote error={error} />}
    </form>
  )
}

const TONES = { running: 'accent', done: 'good', failed: 'bad', stopped: 'warn' } as const

function Run({ job }: { readonly job: Job }): JSX.Element {
  const { run } = useAction(() => send('data_stop', { id: job.id }))
  return (
    <Card
      title={`Training ${job.name}`}
      more={
        <>
          <Tag tone={TONES[job.state]}>{job.state}</Tag>{' '}
          {job.state === 'running' && duration(Date.now() - job.started)}
        </>
      }
      actions={
        job.state === 'running' && (
          <button type="button" class="button" onClick={() => void run()}>
            Stop
          </button>
        )
      }
    >
      {job.state === 'running' && <p role="status">{job.lines.at(-1) ?? 'starting…'}</p>}
      <details open={job.state === 'failed'}>
        <summary>{compact(job.commands.length)} commands, and what they said</summary>
        <pre class="output">
          {[...job.commands.map((one) => `$ ${one}`), ...job.lines].join('\n')}
        </pre>
      </details>
      {job.bundle !== null && (
        <p>
          The bundle is in <code>{job.bundle}</code>; try it with{' '}
          <code>weir console {job.bundle}</code>.
        </p>
      )}
      {job.report && (
        <iframe
          class="report"
          title={`Report of ${job.name}`}
          src={`/console/report/${job.id}`}
          sandbox="allow-scripts"
        />
      )}
    </Card>
  )
}
