import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { firstFault } from '../../core/schema-fault.ts'
import { pointCurrent } from '../../models/bundle/write.ts'
import { RouteRequest } from '../../models/decision/decision.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { readRollout } from '../../records/rollout.ts'
import { DEFAULT_CACHE_ENTRIES, type Routing } from './config.ts'
import { LiveRouter } from './live-router.ts'
import { buildSnapshot, type Snapshot, type StagedRouter } from './snapshot.ts'

/** What a reload did, for the log and for who asked. */
export interface ReloadReport {
  readonly routers: readonly {
    readonly name: string
    readonly version: string
    /** the version it took the place of, where it is a new one */
    readonly replaced?: string
  }[]
}

export interface FleetOptions {
  /** tests pass one with an encoder of their own */
  readonly load?: (path: string) => Promise<Router>
}

/**
 * The routers of a server. They are seen through one immutable snapshot at a time; a reload builds
 * the next one aside and swaps it in whole, or, where anything is wrong with it, not at all.
 */
export interface Fleet {
  /** undefined until the first load */
  readonly snapshot: Snapshot | undefined
  /** Looks at every bundle again. @throws what is wrong with a new version; the old ones serve on */
  reload(): Promise<ReloadReport>
  /** Points a bundle's `current` at one of its kept versions (the newest other one unless told) and reloads. */
  rollback(name: string, version?: string): Promise<ReloadReport>
  /** Version folders that the configured paths mean now and that are not what is served. */
  changed(): Promise<string[]>
  /** Versions on disk of each router, newest last. */
  versions(name: string): Promise<string[]>
  close(): void
}

export function createFleet(config: Routing, options: FleetOptions = {}): Fleet {
  const load = options.load ?? loadRouter
  const cacheEntries = config.cache_entries ?? DEFAULT_CACHE_ENTRIES
  let snapshot: Snapshot | undefined
  /** what each configured path was read from, to leave an unchanged one alone */
  let byPath = new Map<string, LiveRouter>()
  // one reload at a time: each sees what the one before it left
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = turn.then(work)
    turn = result.catch(() => {})
    return result
  }

  const reload = async (): Promise<ReloadReport> => {
    const fresh: LiveRouter[] = []
    const nextByPath = new Map<string, LiveRouter>()
    const routers = new Map<string, LiveRouter>()
    const staged = new Map<string, StagedRouter>()
    try {
      for (const { path, golden } of config.routers) {
        const folder = await versionFolder(path)
        const open = async (at: string): Promise<LiveRouter> => {
          const known = nextByPath.get(at) ?? byPath.get(at)
          const live = known ?? new LiveRouter(await load(at), cacheEntries)
          if (!known) {
            fresh.push(live)
            await checkRouter(live.router, { golden, parity: snapshot !== undefined })
          }
          nextByPath.set(at, live)
          return live
        }
        const live = await open(folder)
        const { name } = live.router.manifest
        if (routers.has(name)) {
          throw new WeirError('config_invalid', {
            where: 'routers',
            expected: 'bundles with different names',
            got: `${name} twice`,
          })
        }
        routers.set(name, live)
        const rollout = await stagedAt(path)
        if (rollout && rollout.version !== live.router.manifest.version) {
          const next = await open(join(dirname(folder), rollout.version))
          staged.set(name, { live: next, rollout })
        }
      }
      const next = buildSnapshot(routers, config, staged)
      const old = snapshot
      snapshot = next
      byPath = nextByPath
      const kept = new Set(livesOf(next))
      for (const live of old ? livesOf(old) : []) if (!kept.has(live)) live.retire()
      return report(old, next)
    } catch (error) {
      for (const live of fresh) live.retire()
      throw error
    }
  }

  const home = (name: string): string => {
    const live = snapshot?.routers.get(name)
    if (live) return dirname(live.router.path)
    const known = [...(snapshot?.routers.keys() ?? [])]
    throw new WeirError('router_unknown', { router: name, known }, { param: 'router' })
  }
  const versions = (name: string): Promise<string[]> => keptVersions(home(name))

  return {
    get snapshot() {
      return snapshot
    },
    reload: () => inTurn(reload),
    rollback: (name, version) =>
      inTurn(async () => {
        const folder = home(name)
        const serving = snapshot!.routers.get(name)!.router.manifest.version
        const kept = await keptVersions(folder)
        const wanted = version ?? kept.filter((one) => one !== serving).at(-1)
        if (wanted === undefined || !kept.includes(wanted)) {
          throw new WeirError(
            'version_unknown',
            { router: name, version: wanted ?? 'other', known: kept },
            { param: 'version' },
          )
        }
        const before = basename(await realpath(join(folder, 'current')))
        await pointCurrent(folder, wanted)
        try {
          return await reload()
        } catch (error) {
          await pointCurrent(folder, before)
          throw error
        }
      }),
    versions,
    async changed() {
      const folders = await Promise.all(config.routers.map(({ path }) => versionFolder(path)))
      const served = new Set(snapshot?.routers.values())
      const moved = folders.filter((folder) => {
        const live = byPath.get(folder)
        return !live || !served.has(live)
      })
      const rollouts = await Promise.all(config.routers.map(({ path }) => stagedAt(path)))
      const now = [...(snapshot?.staged.values() ?? [])].map(({ rollout }) =>
        JSON.stringify(rollout),
      )
      const then = rollouts.flatMap((rollout, i) =>
        rollout && rollout.version !== basename(folders[i]!) ? [JSON.stringify(rollout)] : [],
      )
      return now.sort().join() === then.sort().join() ? moved : [...moved, `rollout ${then.join()}`]
    },
    close() {
      for (const live of snapshot ? livesOf(snapshot) : []) live.retire()
    },
  }
}

/** The folder a configured path means just now: `NAME/current`'s, or its own where it is a version. */
async function versionFolder(path: string): Promise<string> {
  const current = join(resolve(path), 'current')
  return realpath(current).catch(() => resolve(path))
}

/** What is on its way there; a path that names one version has nothing to be on its way to. */
async function stagedAt(path: string): Promise<Awaited<ReturnType<typeof readRollout>>> {
  return readRollout(resolve(path))
}

const livesOf = ({ routers, staged }: Snapshot): LiveRouter[] => [
  ...routers.values(),
  ...[...staged.values()].map(({ live }) => live),
]

async function keptVersions(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => /^[0-9a-f]{16}$/.test(name))
  const aged = await Promise.all(
    names.map(async (name) => ({ name, time: (await stat(join(folder, name))).mtimeMs })),
  )
  return aged.sort((a, b) => a.time - b.time).map(({ name }) => name)
}

function report(old: Snapshot | undefined, next: Snapshot): ReloadReport {
  return {
    routers: [...next.routers].map(([name, { router }]) => {
      const before = old?.routers.get(name)?.router.manifest.version
      const { version } = router.manifest
      return before && before !== version ? { name, version, replaced: before } : { name, version }
    }),
  }
}

/** Prompts of all kinds that every router must be able to score, whatever it was trained on. */
const PROBES = [
  'What is the capital of France?',
  'x',
  'Prove that there are infinitely many primes, then write a Python function that finds the n-th.',
  '¿Cómo se dice “good morning” en japonés? 日本語でお願いします。',
  '```ts\nconst a: number[] = []\n```\nWhy does `a[0].toFixed()` compile?',
  `Summarise: ${'All work and no play makes Jack a dull boy. '.repeat(200)}`,
  '\u0000\ud800 \u202e broken text \uffff',
]

/** What export allows between the two (DESIGN, Export). */
const PARITY_LIMIT = 1e-6

const GoldenRow = Type.Object({
  ...RouteRequest.properties,
  expect: Type.String({ minLength: 1, description: 'the model it must go to' }),
})
const goldenCheck = Compile(GoldenRow)

export interface CheckOptions {
  /** a JSONL file of requests with the model they must go to as `expect` */
  readonly golden: string | undefined
  /** runs the ONNX graph beside the folded head, which loads a runtime the server else does without */
  readonly parity: boolean
}

/**
 * What a version must pass before it may answer: its hashes were checked as it was read; here it
 * scores the probes, by both forms of its head alike, and sends each golden prompt where it must go.
 *
 * @throws bundle_refused, and whatever scoring throws
 */
async function checkRouter(router: Router, options: CheckOptions): Promise<void> {
  const { golden } = options
  await router.score(PROBES)
  const difference = options.parity ? await router.parity(PROBES).catch(ignoreAbsentRuntime) : 0
  // written so that NaN fails it
  if (!(difference <= PARITY_LIMIT)) {
    throw new WeirError('bundle_refused', {
      path: router.path,
      reason: `its folded head and its ONNX graph differ by ${difference}`,
    })
  }
  if (!golden) return
  const text = await readFile(golden, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path: golden }, { cause })
  })
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const { expect, ...request } = parseGolden(line, golden, index + 1)
    const { model } = await router.route(request)
    if (model !== expect) {
      throw new WeirError('bundle_refused', {
        path: router.path,
        reason: `${golden}:${index + 1}: expected ${expect}, it chose ${model}`,
      })
    }
  }
}

/** Where ONNX Runtime is not installed, the graph is never run: only the folded head answers. */
function ignoreAbsentRuntime(error: unknown): number {
  if (error instanceof WeirError && error.code === 'module_missing') return 0
  throw error
}

function parseGolden(line: string, path: string, number: number): Type.Static<typeof GoldenRow> {
  let row: unknown
  try {
    row = JSON.parse(line)
  } catch (cause) {
    const reason = (cause as Error).message
    throw new WeirError('row_invalid', { path, line: number, field: 'row', reason }, { cause })
  }
  if (goldenCheck.Check(row)) return row
  const { field, expected, got } = firstFault(goldenCheck.Errors(row), row)
  const reason = `expected ${expected}, got ${got}`
  throw new WeirError('row_invalid', { path, line: number, field, reason })
}
