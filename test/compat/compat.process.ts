import { type ChildProcess, execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDataset } from '../../data/dataset/dataset.ts'
import { loadRouter } from '../../models/router.ts'
import { readDecisionLog, segmentFiles } from '../../records/log-reader.ts'
import { verifyAudit } from '../../serving/audit/verify.ts'
import { startServing } from '../scripts/weir-process.ts'

/** The command from its source, wherever it is started. */
const WEIR = [
  '--import',
  import.meta.resolve('tsx'),
  join(import.meta.dirname, '../../scripts/weir.ts'),
]
const LIMIT_MS = 120_000
const RELEASES = (await readdir(import.meta.dirname)).filter((name) => /^\d/.test(name))

/** What `make.ts` had the release say of what it wrote. */
interface Expected {
  readonly win_rates: Readonly<Record<string, number>>
  readonly spend: { readonly budgets: readonly { name: string; spent_usd: number }[] }
  readonly replay: object
  readonly inspect: object
}

const json = async (path: string) => JSON.parse(await readFile(path, 'utf8'))
const lines = async (path: string): Promise<unknown[]> =>
  (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

describe.each(RELEASES)('what %s wrote', (release) => {
  /** a copy, for a server writes into its folders */
  let folder: string
  let expected: Expected
  const children: ChildProcess[] = []
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weir-compat-'))
    await cp(join(import.meta.dirname, release), folder, {
      recursive: true,
      verbatimSymlinks: true,
    })
    expected = await json(join(folder, 'expected.json'))
  })
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL')
    await rm(folder, { recursive: true })
  })
  const weir = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)(process.execPath, [...WEIR, ...args], { cwd: folder })).stdout

  it('bundle: gives the same win rates, to the bit', async () => {
    const router = await loadRouter(join(folder, 'trained/demo'))
    const prompts = Object.keys(expected.win_rates)
    const { winRate } = await router.score(prompts)
    expect([...winRate]).toEqual(Object.values(expected.win_rates))
    await router.close()
  })

  it('dataset: holds every row of the log it was read from', async () => {
    const { prompts, models, outcomes, categories } = await openDataset(join(folder, 'dataset'))
    const rows = (await lines(join(folder, 'rows.jsonl'))) as {
      prompt: string
      category: string
      scores: Record<string, number>
    }[]
    expect(prompts).toEqual(rows.map(({ prompt }) => prompt))
    expect(categories).toEqual(rows.map(({ category }) => category))
    expect([...outcomes!.scores]).toEqual(
      rows.flatMap(({ scores }) => models.map((model) => Math.fround(scores[model]!))),
    )
  })

  it('logs: every line of decisions, feedback and chats is read', async () => {
    const stats = { torn: 0, invalid: 0 }
    const read = []
    for await (const { record } of readDecisionLog(join(folder, 'log'), stats)) read.push(record)
    const [segment, ...more] = await segmentFiles(join(folder, 'log'))
    expect(more).toEqual([])
    expect(read).toEqual(await lines(segment!))
    expect(stats).toEqual({ torn: 0, invalid: 0 })
    const kinds = new Set(read.map((record) => record.object))
    expect(kinds).toEqual(new Set(['log', 'decision', 'feedback', 'gateway']))
  })

  it('audit log: its chain holds', async () => {
    const { faults, torn, records } = await verifyAudit(join(folder, 'log'))
    expect(faults).toEqual([])
    expect(torn).toBe(0)
    expect(records.map(({ event }) => event)).toEqual(['bundle_loaded', 'policy_loaded'])
  })

  it(
    'journals, logs and dataset: commands print the same of them',
    async () => {
      const said = await Promise.all([
        weir('spend', 'log', '--by', 'model', '--json'),
        weir('replay', 'log', '--threshold', '0.6', '--json'),
        weir('data', 'inspect', 'dataset', '--json'),
      ])
      const { spend, replay, inspect } = expected
      expect(said.map((text) => JSON.parse(text))).toEqual([spend, replay, inspect])
    },
    LIMIT_MS,
  )

  it(
    'train config: the same log and seed give the same bundle bytes',
    async () => {
      await weir('train', 'rows.jsonl', '--config', 'train.yaml', '--out', 'again')
      const [before, after] = await Promise.all(
        ['trained', 'again'].map(async (root) => {
          const path = await realpath(join(folder, root, 'demo/current'))
          const manifest = await json(join(path, 'manifest.json'))
          // dates, and what is named after the versions of Node and the runtime
          const { version: _, created: __, libraries: ___, ...rest } = manifest
          // what later releases say besides: how conversations are read, and what stems are taken of
          delete rest.recipe
          delete rest.data.split.asked
          const bytes = Object.keys(rest.files as object).map(async (name) => {
            const content = await readFile(join(path, name))
            return createHash('sha256').update(content).digest('hex')
          })
          return { rest, bytes: await Promise.all(bytes) }
        }),
      )
      expect(after!.bytes).toEqual(before!.bytes)
      expect(after!.rest).toEqual(near(before!.rest))
    },
    LIMIT_MS,
  )

  it(
    'serve config and policy: a server starts on them and goes on with budgets and log',
    async () => {
      const started = await startServing(
        WEIR,
        ['--config', 'serve.yaml', '--port', '0', '--admin-port', '0'],
        children,
        folder,
      )
      const headers = { 'content-type': 'application/json', authorization: 'Bearer secret' }
      const [[prompt, winRate]] = Object.entries(expected.win_rates) as [[string, number]]
      const answer = await fetch(`${started.url}/route`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ prompt, router: 'auto' }),
      })
      expect(await answer.json()).toMatchObject({ win_rate: winRate })
      const spend = await (
        await fetch(`${started.admin}/admin/spend`, { headers: started.asAdmin })
      ).json()
      const spent = (budgets: Expected['spend']['budgets']) =>
        Object.fromEntries(budgets.map(({ name, spent_usd }) => [name, spent_usd]))
      expect(spent((spend as Expected['spend']).budgets)).toEqual(spent(expected.spend.budgets))
    },
    LIMIT_MS,
  )
})

/**
 * The value with its fractions to six decimals: 0.1.0 had a normal distribution that was good to 1e-7, and
 * p-values and intervals in a manifest's metrics go through it.
 */
function near(value: unknown): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? value : expect.closeTo(value, 6)
  if (Array.isArray(value)) return value.map(near)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, near(item)]))
}
