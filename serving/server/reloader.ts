import type { BundleAudit } from '../audit/bundle-audit.ts'
import type { LivePolicies, PolicyStatus } from '../policy/live-policies.ts'
import type { Fleet, ReloadReport } from '../router/fleet.ts'

export interface Reloaded extends ReloadReport {
  /** absent if no policies are served */
  readonly policies?: readonly PolicyStatus[]
}

/** Reloads on request and reports the result, so that a refused bundle or policy is noticed. */
export interface Reloader {
  /** Reloads bundles, then policies; each is applied even if the other is refused. @throws the faults */
  reload(why?: string): Promise<Reloaded>
  rollback(router: string, version?: string): Promise<ReloadReport>
  /** Reloads when no caller waits for the result: on a signal or a change on disk. */
  trigger(why: string): void
  /** Checks at an interval whether a bundle's `current` points elsewhere or a policy file changed. */
  watch(everyMs: number): void
  close(): void
}

export interface ReloaderOptions {
  readonly fleet: Fleet
  readonly policies?: LivePolicies | undefined
  readonly audit?: BundleAudit | undefined
  readonly onReload: (result: 'ok' | 'refused', error?: unknown) => void
  readonly onNote: (message: string, error?: unknown) => void
}

export function createReloader(options: ReloaderOptions): Reloader {
  const { fleet, policies, audit, onReload, onNote } = options
  let timer: NodeJS.Timeout | undefined
  const told = async <T extends Reloaded>(work: Promise<T>): Promise<T> => {
    try {
      const report = await work
      onReload('ok')
      for (const { name, version, replaced } of report.routers) {
        if (replaced) onNote(`${name}: ${version} serves now, in place of ${replaced}`)
      }
      for (const { path, hash, replaced } of report.policies ?? []) {
        if (replaced) onNote(`${path}: ${hash} serves now, in place of ${replaced}`)
      }
      return report
    } catch (error) {
      onReload('refused', error)
      onNote('reload refused, what was loaded serves on', error)
      throw error
    }
  }
  const changeBundles = async (
    work: Promise<ReloadReport>,
    why: string,
    rolledBack: boolean,
  ): Promise<ReloadReport> => {
    try {
      const report = await work
      await audit?.changed(report, why, rolledBack)
      return report
    } catch (error) {
      await audit?.refused(error, why)
      throw error
    }
  }
  const reloadAll = async (why: string): Promise<Reloaded> => {
    const routers = await changeBundles(fleet.reload(), why, false).then(
      (report) => ({ report }),
      (error: unknown) => ({ error }),
    )
    const loaded = await policies?.reload(why)
    if ('error' in routers) throw routers.error
    return { ...routers.report, ...(loaded ? { policies: loaded } : {}) }
  }
  const trigger = (why: string): void => {
    onNote(`reloading: ${why}`)
    told(reloadAll(why)).catch(() => {})
  }
  return {
    reload: (why = 'admin') => told(reloadAll(why)),
    rollback: (router, version) =>
      told(changeBundles(fleet.rollback(router, version), 'admin', true)),
    trigger,
    watch(everyMs) {
      let looking = false
      /** a refused version is not tried again until something changes on disk */
      let tried = ''
      timer = setInterval(async () => {
        if (looking) return
        looking = true
        try {
          const bundles = await fleet.changed()
          const files = (await policies?.changed()) ?? []
          const next = [...bundles, ...files].join('\n')
          if (next !== '' && next !== tried) {
            trigger(bundles.length > 0 ? 'a bundle changed' : 'a policy changed')
          }
          tried = next
        } catch (error) {
          onNote('could not look at the bundles', error)
        } finally {
          looking = false
        }
      }, everyMs)
      timer.unref()
    },
    close: () => clearInterval(timer),
  }
}
