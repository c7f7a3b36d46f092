import type { BudgetState } from '../budgets/ledger.ts'
import { assertShared, budgetMetrics, SPEND_WHERE, spendFolderOf } from '../budgets/open.ts'
import { openSharedBudgets } from '../budgets/postgres-store.ts'
import { openSharedSpend } from '../budgets/shared-spend.ts'
import { BUDGET_TOPIC, openLocalStore, PrimaryBudgets } from '../budgets/store.ts'
import { stateSettings } from '../state/config.ts'
import { HOT_TOPIC, PrimaryHotStore } from '../state/hot-store.ts'
import type { TopicHandler } from '../state/primary-channel.ts'
import { PrimaryRateLimits, RATE_TOPIC } from '../state/rate-limit.ts'
import type { ServeConfig } from './config.ts'

export interface PrimaryStateOptions {
  readonly workers: number
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
}

/** The state that the primary process keeps for all workers: budgets, rate limits, sessions. */
export interface PrimaryState {
  /** handlers of workers' questions, by topic */
  readonly handlers: ReadonlyMap<string, TopicHandler>
  /** A worker has died. */
  gone(worker: number): void
  budgets(): readonly BudgetState[] | Promise<readonly BudgetState[]>
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
  const handlers = new Map<string, TopicHandler>([
    [RATE_TOPIC, rates.answer],
    [HOT_TOPIC, new PrimaryHotStore().answer],
  ])
  const state = stateSettings(config.state)
  const allowHosts = config.gateway?.allow_hosts
  const declared = config.gateway?.budgets ?? []
  // each worker asks it; here it only shows what all have spent
  const shared = await openSharedBudgets(state, { allowHosts, now, onWarning })
  shared?.declare(declared)
  if (declared.length > 0) assertShared(state.replicas, shared)
  const folder = spendFolderOf(config.gateway, config.log)
  const delivery = openSharedSpend(state, folder, { now, onWarning })
  const store =
    folder === undefined || shared
      ? undefined
      : openLocalStore({
          folder,
          where: SPEND_WHERE,
          allowHosts,
          now,
          onWarning,
        })
  const budgets = store && new PrimaryBudgets(store)
  const { Registry } = await import('prom-client')
  const registry = new Registry()
  if (store && budgets) {
    // report a folder that is in use before any worker starts
    store.declare(declared)
    handlers.set(BUDGET_TOPIC, budgets.answer)
    budgetMetrics(registry, () => store.states())
  }
  if (shared) budgetMetrics(registry, () => shared.lastStates())
  return {
    handlers,
    gone(worker) {
      rates.gone(worker)
      budgets?.gone(worker)
    },
    budgets: () => store?.states() ?? shared?.states().catch(() => shared.lastStates()) ?? [],
    async metrics() {
      await shared?.states().catch(() => {})
      return registry.metrics()
    },
    async close() {
      await store?.close()
      await shared?.close()
      await delivery?.close()
    },
  }
}
