import type { Fleet, ReloadReport } from './fleet/fleet.ts'
import type { SpendReport } from './money/spend-report.ts'
import type { Reloader } from './reloader.ts'

/** A router as operators see it. */
export interface RouterStatus {
  readonly name: string
  readonly version: string
  readonly path: string
  readonly threshold: number
  readonly strong: string
  readonly weak: string
  /** on disk, oldest first */
  readonly versions: readonly string[]
}

/** What the admin port works on: this process's routers, or those of all workers. */
export interface AdminBackend {
  ready(): boolean
  routers(): Promise<readonly RouterStatus[]>
  reload(): Promise<ReloadReport>
  rollback(router: string, version?: string): Promise<ReloadReport>
  /** since the start */
  spend(): Promise<SpendReport>
  /** Prometheus text */
  metrics(): Promise<string>
}

export function localBackend(
  fleet: Fleet,
  reloader: Reloader,
  metrics: () => Promise<string>,
  spend: () => Promise<SpendReport> = async () => NO_SPEND,
): AdminBackend {
  return {
    ready: () => fleet.snapshot !== undefined,
    routers: () =>
      Promise.all(
        [...(fleet.snapshot?.routers ?? [])].map(async ([name, { router, strong }]) => {
          const { version, threshold, candidates } = router.manifest
          return {
            name,
            version,
            path: router.path,
            threshold: threshold.value,
            strong,
            weak: candidates.find(({ role }) => role === 'weak')!.model,
            versions: await fleet.versions(name),
          }
        }),
      ),
    reload: () => reloader.reload(),
    rollback: (router, version) => reloader.rollback(router, version),
    metrics,
    spend,
  }
}

/** Of a server that asks no models. */
const NO_SPEND: SpendReport = { since: new Date(0).toISOString(), cells: [], budgets: [] }
