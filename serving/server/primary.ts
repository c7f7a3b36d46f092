import type { BudgetState } from '../budgets/book.ts'
import { BudgetDesk } from '../budgets/budget-desk.ts'
import { SPEND_WHERE, spendFolderOf } from '../budgets/open.ts'
import { budgetMetrics, openAuthority } from '../budgets/open-authority.ts'
import { BUDGET_TOPIC } from '../budgets/remote-authority.ts'
import type { TopicHandler } from '../state/primary-channel.ts'
import { PrimaryRateLimits, RATE_TOPIC } from '../state/rate-limit.ts'
import type { ServeConfig } from './config.ts'

export interface PrimaryStateOptions {
  readonly workers: number
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
}

/** The state that the primary process keeps for all workers: budgets and rate limits. */
export interface PrimaryState {
  /** what answers workers, by topic */
  readonly handlers: ReadonlyMap<string, TopicHandler>
  /** A worker has died. */
  gone(worker: number): void
  budgets(): readonly BudgetState[]
  /** Prometheus text */
  metrics(): Promise<string>
  close(): Promise<void>
}

/** @throws config_invalid */
export async function openPrimaryState(
  config: ServeConfig,
  { workers, now, onWarning }: PrimaryStateOptions,
): Promise<PrimaryState> {
  const rates = new PrimaryRateLimits(workers)
  const handlers = new Map<string, TopicHandler>([[RATE_TOPIC, rates.answer]])
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
    handlers.set(BUDGET_TOPIC, budgets.answer)
    budgetMetrics(registry, () => authority.states())
  }
  return {
    handlers,
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
