import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { pointCurrent } from '../../models/bundle/write.ts'
import { WeirError } from '../../models/errors.ts'
import { readRollout } from '../../models/rollout.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { DEFAULT_CACHE_ENTRIES, type ServeConfig } from '../config.ts'
import { checkRouter } from './bundle-check.ts'
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

export function createFleet(config: ServeConfig, options: FleetOptions = {}): Fleet {
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
