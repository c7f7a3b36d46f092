import type { BudgetState } from '../budgets/ledger.ts'
import { budgetMetrics, SPEND_WHERE, spendFolderOf } from '../budgets/open.ts'
import { BUDGET_TOPIC, openLocalStore, PrimaryBudgets } from '../budgets/store.ts'
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
  /** handlers of workers' questions, by topic */
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
  const store =
    folder === undefined
      ? undefined
      : openLocalStore({
          folder,
          where: SPEND_WHERE,
          allowHosts: config.gateway?.allow_hosts,
          now,
          onWarning,
        })
  const budgets = store && new PrimaryBudgets(store)
  const { Registry } = await import('prom-client')
  const registry = new Registry()
  if (store && budgets) {
    // report a folder that is in use before any worker starts
    store.declare(config.gateway?.budgets ?? [])
    handlers.set(BUDGET_TOPIC, budgets.answer)
    budgetMetrics(registry, () => store.states())
  }
  return {
    handlers,
    gone(worker) {
      rates.gone(worker)
      budgets?.gone(worker)
    },
    budgets: () => store?.states() ?? [],
    metrics: () => registry.metrics(),
    async close() {
      await store?.close()
    },
  }
}
