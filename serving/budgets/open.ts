import { join } from 'node:path'
import type { Registry } from 'prom-client'
import { WeirError } from '../../core/errors.ts'
import { registerLean } from '../../core/lean-metric.ts'
import type { Price } from '../../models/prices.ts'
import type { PrimaryChannel } from '../state/primary-channel.ts'
import type { ModelTerms } from './bound.ts'
import type { BudgetRefusal, BudgetState } from './ledger.ts'
import type { PostgresBudgetStore } from './postgres-store.ts'
import {
  type BudgetQuestion,
  DeclaredBudgets,
  type Reservation,
  Reservations,
} from './reservations.ts'
import { type BudgetSettings, checkBudgets } from './settings.ts'
import {
  SpendJournal,
  type SpendReport,
  SpendTable,
  type SpentRequest,
  spendEntries,
} from './spend.ts'
import { type BudgetStore, openLocalStore, remoteStore } from './store.ts'
import { dollarsOf } from './units.ts'

/** A model of `gateway.models`, as far as budgets need it. */
export interface BudgetedModel {
  readonly price?: Price
  readonly context?: number
  readonly output_tokens?: number
}

export interface OpenBudgetsOptions {
  /** by name: `gateway.models` with their prices */
  readonly models: Readonly<Record<string, BudgetedModel>>
  /** `gateway.budgets` */
  readonly budgets: readonly BudgetSettings[]
  /** hosts that webhooks may be on; any if absent */
  readonly allowHosts: readonly string[] | undefined
  /** names of API keys; undefined if no key is required */
  readonly keys: readonly string[] | undefined
  /** folder of spending and budgets; without it spending is only counted, and budgets are refused */
  readonly folder: string | undefined
  /** the store that several servers share; else this server keeps its budgets itself */
  readonly shared?: PostgresBudgetStore | undefined
  /** servers that answer together: several need a shared store for budgets */
  readonly replicas?: number
  /** for a worker, whose budgets the primary keeps */
  readonly primary: PrimaryChannel | undefined
  /** identifies this process among several that write to one folder */
  readonly owner: string
  readonly registry: Registry
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
}

/** One process's budgets and its record of spending. */
export interface Budgets {
  /** See `Reservations`. */
  reserve(question: BudgetQuestion): Reservation | undefined | Promise<Reservation | undefined>
  query(question: BudgetQuestion): BudgetRefusal | undefined
  /**
   * Counts a request that was refused, or kept from a model, because of `query`, and alerts once per period.
   */
  refused(budget: string): void
  /** Records what a finished request spent. */
  record(request: SpentRequest): void
  /**
   * Replaces the budgets of a source (a policy).
   *
   * @param tiers of keys, by name
   * @throws config_invalid
   */
  declare(
    source: string,
    budgets: readonly BudgetSettings[],
    tiers?: Readonly<Record<string, string>>,
  ): void
  /** The error that `declare` would throw. */
  readonly check: Budgets['declare']
  report(): Promise<SpendReport>
  close(): Promise<void>
}

/** The missing setting if budgets have no folder. */
export const SPEND_WHERE = 'gateway.spend.folder'

/** The folder for spending: the configured one, else one inside the log's folder. */
export function spendFolderOf(
  gateway: { readonly spend?: { readonly folder: string } } | undefined,
  log: { readonly folder: string } | undefined,
): string | undefined {
  return gateway?.spend?.folder ?? (gateway && log ? join(log.folder, 'spend') : undefined)
}

/** @throws config_invalid */
export function openBudgets(options: OpenBudgetsOptions): Budgets {
  const { models, allowHosts, folder, owner, now, onWarning } = options
  const store = storeOf(options)
  const terms = termsOf(models)
  const declared = new DeclaredBudgets()
  const table = new SpendTable()
  const since = now()
  /** models that were already warned about */
  const overrun = new Set<string>()

  const check: Budgets['check'] = (source, budgets, tiers = {}) => {
    if (budgets.length > 0) assertShared(options.replicas, options.shared)
    if (budgets.length > 0 && !store) {
      throw new WeirError('config_invalid', {
        where: SPEND_WHERE,
        expected: 'it, or log.folder, beside budgets',
        got: 'no folder to keep them in',
      })
    }
    checkBudgets(budgets, {
      where: source,
      models,
      terms,
      keys: options.keys,
      tiers: Object.values(tiers),
      allowHosts,
    })
  }
  const declare: Budgets['declare'] = (source, budgets, tiers = {}) => {
    check(source, budgets, tiers)
    declared.set(source, budgets, tiers)
    store?.declare(declared.all)
  }
  declare('gateway.budgets', options.budgets)

  const journal =
    folder === undefined
      ? undefined
      : new SpendJournal({
          folder,
          owner,
          now,
          onHealth: (failure) =>
            onWarning(
              failure ? 'spending cannot be written' : 'spending is written again',
              failure,
            ),
        })
  const reservations =
    store &&
    new Reservations({
      store,
      declared,
      terms,
      owner,
      onOverrun(model, reserved, cost) {
        if (overrun.has(model)) return
        overrun.add(model)
        onWarning(
          `${model} was billed $${dollarsOf(cost)}, more than the $${dollarsOf(reserved)} that its answer could cost: are its price, context and output_tokens right?`,
        )
      },
    })
  return {
    reserve: (question) => reservations?.reserve(question),
    query: (question) => reservations?.query(question),
    refused: (budget) => store?.refused(budget),
    record(request) {
      for (const line of spendEntries(request, now())) {
        table.add(line)
        journal?.append(declared.all.length > 0 ? { ...line, budgeted: true } : line)
      }
    },
    check,
    declare,
    report: async () => ({
      since: new Date(since).toISOString(),
      cells: table.cells,
      budgets: (await store?.states()) ?? [],
    }),
    async close() {
      journal?.close()
      await store?.close()
    },
  }
}

/**
 * Refuses budgets that every one of several servers would spend in full.
 *
 * @throws config_invalid
 */
export function assertShared(replicas = 1, shared: unknown): void {
  if (replicas <= 1 || shared) return
  throw new WeirError('config_invalid', {
    where: 'state.stores',
    expected: `postgres://..., because each of ${replicas} servers would spend the budgets in full`,
    got: 'no store that they share',
  })
}

/** The shared one, the primary's in a worker, else this process's; none without a folder. */
function storeOf(options: OpenBudgetsOptions): BudgetStore | undefined {
  const { folder, primary, shared, allowHosts, registry, now, onWarning } = options
  if (shared) {
    // one process's metrics are added up by its primary, which shows them once
    if (!primary) budgetMetrics(registry, () => shared.lastStates())
    return shared
  }
  if (folder === undefined) return undefined
  if (primary) return remoteStore(primary, now)
  const local = openLocalStore({ folder, where: SPEND_WHERE, allowHosts, now, onWarning })
  budgetMetrics(registry, () => local.states())
  return local
}

/** The models with known price and context. */
function termsOf(models: Readonly<Record<string, BudgetedModel>>): Map<string, ModelTerms> {
  const terms = new Map<string, ModelTerms>()
  for (const [name, { price, context, output_tokens: outputTokens }] of Object.entries(models)) {
    if (price && context !== undefined) terms.set(name, { price, context, outputTokens })
  }
  return terms
}

/** Shows budgets in `GET /metrics`. */
export function budgetMetrics(registry: Registry, states: () => readonly BudgetState[]): void {
  const show = (
    name: string,
    help: string,
    type: 'gauge' | 'counter',
    value: (state: BudgetState) => number,
  ): void =>
    registerLean(registry, name, help, type, () =>
      states().map((state) => ({ labels: { budget: state.name }, value: value(state) })),
    )
  show(
    'weir_budget_used_ratio',
    'Spent share of a budget in its period; what is under way is not in it.',
    'gauge',
    ({ spent_usd, usd }) => spent_usd / usd,
  )
  show(
    'weir_budget_refused_total',
    'Questions to models that did not fit into a budget.',
    'counter',
    ({ refused }) => refused,
  )
}
