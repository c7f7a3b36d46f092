import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import { firstFault } from '../../core/schema-fault.ts'
import { readBundle, versionFolder } from '../../models/bundle/read.ts'
import { bundleCache, bundlePlace } from '../../models/bundle/remote/place.ts'
import { changeServing, finishServingChange } from '../../models/bundle/serving-change.ts'
import { RouteRequest } from '../../models/decision/decision.ts'
import { cacheFolder } from '../../models/encoders/cache.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { readRollout } from '../../records/rollout.ts'
import { DEFAULT_BUNDLE_REFRESH_SECONDS, DEFAULT_CACHE_ENTRIES, type Routing } from './config.ts'
import { LiveRouter } from './live-router.ts'
import { buildSnapshot, type Snapshot, type StagedRouter } from './snapshot.ts'

/** The result of a reload, for the log and the caller. */
export interface ReloadReport {
  readonly routers: readonly {
    readonly name: string
    readonly version: string
    /** the version it replaced, if it is a new one */
    readonly replaced?: string
  }[]
}

export interface FleetOptions {
  /** tests pass one with a fake encoder */
  readonly load?: (path: string) => Promise<Router>
  /** where keys of registries, and the cache, are looked up (default the process's environment) */
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly onWarning?: (message: string, error?: unknown) => void
}

/**
 * The routers of a server, read through one immutable snapshot at a time. A reload builds the next one
 * separately and replaces the whole snapshot, or nothing if anything is wrong with it.
 */
export interface Fleet {
  /** undefined until the first load */
  readonly snapshot: Snapshot | undefined
  /** Checks every bundle again. @throws if a new version is faulty; the old ones then stay in use */
  reload(): Promise<ReloadReport>
  /**
   * Points a bundle's `current` at one of its kept versions (by default the newest other one), with a line in its
   * history, and reloads. If that version cannot be loaded, it points back, with another line.
   *
   * @param reason for the history
   */
  rollback(name: string, version?: string, reason?: string): Promise<ReloadReport>
  /**
   * Version folders that the configured paths resolve to now, if they differ from those served. Bundles that are kept
   * elsewhere are brought up to date first, every `bundle_refresh_seconds`.
   */
  changed(): Promise<string[]>
  /** Versions on disk of each router, newest last. */
  versions(name: string): Promise<string[]>
  close(): void
}

export function createFleet(config: Routing, options: FleetOptions = {}): Fleet {
  const load =
    options.load ??
    ((path: string) => loadRouter(path, { signers: config.require_signature, ood: config.ood }))
  const cacheEntries = config.cache_entries ?? DEFAULT_CACHE_ENTRIES
  const { environment = process.env, onWarning = () => {} } = options
  const places = config.routers.map(({ path, golden, key_env: keyEnv }) => ({
    golden,
    place: bundlePlace(path, keyEnv, {
      cache: config.bundle_cache ?? bundleCache(cacheFolder(environment)),
      signers: config.require_signature,
      environment,
      pollMs: (config.bundle_refresh_seconds ?? DEFAULT_BUNDLE_REFRESH_SECONDS) * 1000,
      onWarning,
    }),
  }))
  let snapshot: Snapshot | undefined
  /** what each configured path was read from, so that unchanged ones are not reloaded */
  let byPath = new Map<string, LiveRouter>()
  // one reload at a time: each sees the result of the one before it
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
      for (const { place, golden } of places) {
        // whoever asks for a reload learns that what is there now is refused; a server that starts serves what it has
        await place.refresh(snapshot !== undefined)
        const { path } = place
        const folder = await versionFolder(path)
        const open = async (at: string): Promise<LiveRouter> => {
          const known = nextByPath.get(at) ?? byPath.get(at)
          // before its files are opened, whatever opens them
          if (!known && config.require_signature) {
            await readBundle(at, { signers: config.require_signature })
          }
          const live = known ?? new LiveRouter(await load(at), cacheEntries)
          if (!known) {
            fresh.push(live)
            await checkRouter(live.router, golden)
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
    rollback: (name, version, reason = 'asked for on the admin port') =>
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
        await finishServingChange(folder)
        const before = basename(await realpath(join(folder, 'current')))
        const rollout = await readRollout(folder)
        const change = (to: string, from: string, why: string): Promise<void> =>
          changeServing(folder, {
            event: {
              time: new Date().toISOString(),
              event: 'rollback',
              version: to,
              serving: from,
              reason: why,
            },
            current: to,
            ...definedOnly({ rollout }),
          })
        await change(wanted, before, reason)
        try {
          return await reload()
        } catch (error) {
          await change(before, wanted, `${wanted} could not be loaded`)
          throw error
        }
      }),
    versions,
    async changed() {
      await Promise.all(places.map(({ place }) => place.poll()))
      const paths = places.map(({ place }) => place.path)
      const folders = await Promise.all(paths.map(versionFolder))
      const served = new Set(snapshot?.routers.values())
      const moved = folders.filter((folder) => {
        const live = byPath.get(folder)
        return !live || !served.has(live)
      })
      const rollouts = await Promise.all(paths.map(stagedAt))
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

/** The version at shadow or canary; none for a path to a fixed version. */
async function stagedAt(path: string): Promise<Awaited<ReturnType<typeof readRollout>>> {
  return readRollout(path)
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

/** Diverse prompts that every router must be able to score, whatever it was trained on. */
const PROBES = [
  'What is the capital of France?',
  'x',
  'Prove that there are infinitely many primes, then write a Python function that finds the n-th.',
  '¿Cómo se dice “good morning” en japonés? 日本語でお願いします。',
  '```ts\nconst a: number[] = []\n```\nWhy does `a[0].toFixed()` compile?',
  `Summarise: ${'All work and no play makes Jack a dull boy. '.repeat(200)}`,
  '\u0000\ud800 \u202e broken text \uffff',
]

/** The tolerance of export between the two forms (DESIGN, Export). */
const PARITY_LIMIT = 1e-6

const GoldenRow = Type.Object({
  ...RouteRequest.properties,
  expect: Type.String({ minLength: 1, description: 'the model it must go to' }),
})
const goldenCheck = Compile(GoldenRow)

/**
 * Checks that a version must pass before it may answer, at the first start too (its hashes were checked when
 * it was read): it scores the probes, equally by both forms of its head, and routes each golden prompt to the
 * expected model.
 *
 * @param golden a JSONL file of requests, each with the model it must be routed to as `expect`
 * @throws bundle_refused, and anything that scoring throws
 */
async function checkRouter(router: Router, golden: string | undefined): Promise<void> {
  await router.score(PROBES)
  const difference = await router.parity(PROBES).catch(ignoreAbsentRuntime)
  // written so that NaN fails
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

/** If ONNX Runtime is not installed, the graph is never run: only the folded head answers. */
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
