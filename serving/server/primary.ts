import type { BudgetState } from '../budgets/book.ts'
import { BudgetDesk } from '../budgets/budget-desk.ts'
import { SPEND_WHERE, spendFolderOf } from '../budgets/open.ts'
import { budgetMetrics, openAuthority } from '../budgets/open-authority.ts'
import { BUDGET_TOPIC } from '../budgets/remote-authority.ts'
import type { Desk } from '../state/primary-channel.ts'
import { RATE_TOPIC, RateDesk } from '../state/rate-limit.ts'
import type { ServeConfig } from './config.ts'

export interface PrimaryDeskOptions {
  readonly workers: number
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
}

/** What the primary keeps for all workers: budgets and rate limits. */
export interface PrimaryDesk {
  /** by topic */
  readonly desks: ReadonlyMap<string, Desk>
  /** A worker has died. */
  gone(worker: number): void
  budgets(): readonly BudgetState[]
  /** Prometheus text */
  metrics(): Promise<string>
  close(): Promise<void>
}

/** @throws config_invalid */
export async function openPrimaryDesk(
  config: ServeConfig,
  { workers, now, onWarning }: PrimaryDeskOptions,
): Promise<PrimaryDesk> {
  const rates = new RateDesk(workers)
  const desks = new Map<string, Desk>([[RATE_TOPIC, rates.answer]])
  const folder = spendFolderOf(config.gateway, config.log)
  const authority =
    folder === undefined
      ? undefined
      : openAuthority({
          folder,
          where: SPEND_WHERE,
          allowHosts: config.gateway?.allow_hosts,
          now,
          onWarning,
        })
  const budgets = authority && new BudgetDesk(authority)
  const { Registry } = await import('prom-client')
  const registry = new Registry()
  if (authority && budgets) {
    // a folder that is in use is known before any worker starts
    authority.declare(config.gateway?.budgets ?? [])
    desks.set(BUDGET_TOPIC, budgets.answer)
    budgetMetrics(registry, () => authority.states())
  }
  return {
    desks,
    gone(worker) {
      rates.gone(worker)
      budgets?.gone(worker)
    },
    budgets: () => authority?.states() ?? [],
    metrics: () => registry.metrics(),
    async close() {
      await authority?.close()
    },
  }
}
