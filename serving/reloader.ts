import type { Fleet, ReloadReport } from './fleet/fleet.ts'

/** Reloads on request, and says loudly how it went: a refused bundle must not go unnoticed. */
export interface Reloader {
  reload(): Promise<ReloadReport>
  rollback(router: string, version?: string): Promise<ReloadReport>
  /** Reloads without a caller to tell: on a signal or a change on disk. */
  trigger(why: string): void
  /** Looks every so often whether a bundle's `current` points elsewhere. */
  watch(everyMs: number): void
  close(): void
}

export interface ReloaderOptions {
  readonly fleet: Fleet
  readonly onReload: (result: 'ok' | 'refused') => void
  readonly onNote: (message: string, error?: unknown) => void
}

export function createReloader({ fleet, onReload, onNote }: ReloaderOptions): Reloader {
  let timer: NodeJS.Timeout | undefined
  const told = async (work: Promise<ReloadReport>): Promise<ReloadReport> => {
    try {
      const report = await work
      onReload('ok')
      for (const { name, version, replaced } of report.routers) {
        if (replaced) onNote(`${name}: ${version} serves now, in place of ${replaced}`)
      }
      return report
    } catch (error) {
      onReload('refused')
      onNote('reload refused, what was loaded serves on', error)
      throw error
    }
  }
  const trigger = (why: string): void => {
    onNote(`reloading: ${why}`)
    told(fleet.reload()).catch(() => {})
  }
  return {
    reload: () => told(fleet.reload()),
    rollback: (router, version) => told(fleet.rollback(router, version)),
    trigger,
    watch(everyMs) {
      let looking = false
      /** a version that was refused is not tried again until something else is there */
      let tried = ''
      timer = setInterval(async () => {
        if (looking) return
        looking = true
        try {
          const next = (await fleet.changed()).join('\n')
          if (next !== '' && next !== tried) trigger('a bundle changed')
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
