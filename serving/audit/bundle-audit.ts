import type { ReloadReport } from '../router/fleet.ts'
import type { AuditEvent, AuditLog } from './audit-log.ts'

export interface BundleAudit {
  /** The bundles that serve at the start. */
  started(routers: ReloadReport['routers']): Promise<void>
  /** The bundles that a reload or rollback replaced. */
  changed(report: ReloadReport, why: string, rolledBack: boolean): Promise<void>
  refused(error: unknown, why: string): Promise<void>
}

/** Writes to the audit log which versions of bundles serve. If that fails, a warning says so and they serve all the same. */
export function bundleAudit(
  audit: AuditLog,
  onWarning: (message: string, error: unknown) => void,
): BundleAudit {
  const write = async (events: readonly AuditEvent[]): Promise<void> => {
    try {
      for (const event of events) await audit.record(event)
    } catch (error) {
      onWarning('the audit log cannot be written', error)
    }
  }
  return {
    started: (routers) =>
      write(
        routers.map(({ name, version }) => ({
          event: 'bundle_loaded',
          name,
          hash: version,
          why: 'start',
        })),
      ),
    changed: ({ routers }, why, rolledBack) =>
      write(
        routers.flatMap(({ name, version, replaced }) =>
          replaced === undefined
            ? []
            : [
                {
                  event: rolledBack ? 'bundle_rolled_back' : 'bundle_loaded',
                  name,
                  hash: version,
                  previous_hash: replaced,
                  why,
                },
              ],
        ),
      ),
    refused: (error, why) =>
      write([
        {
          event: 'bundle_refused',
          name: 'routers',
          why,
          error: error instanceof Error ? error.message : String(error),
        },
      ]),
  }
}
