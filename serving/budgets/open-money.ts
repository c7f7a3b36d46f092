import { join } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import type { Admit } from '../gateway/admission.ts'
import type { GatewayConfig } from '../gateway/config.ts'
import type { GatewayRequest, ServedObserver } from '../gateway/contracts.ts'

import { claimOf, createAdmission, refused } from './admission.ts'
import type { BudgetAuthority } from './authority.ts'
import type { ModelTerms } from './bound.ts'
import { assertBudgetsFit } from './budgets-fit.ts'
import { DeclaredBudgets } from './declared-budgets.ts'
import { dollarsOf } from './nanodollars.ts'
import type { BudgetSettings } from './settings.ts'
import { SpendJournal } from './spend-journal.ts'
import { spendOf } from './spend-of.ts'
import type { SpendReport } from './spend-report.ts'
import { SpendTable } from './spend-table.ts'

export interface OpenMoneyOptions {
  /** its models with their prices */
  readonly gateway: GatewayConfig
  /** names of API keys; undefined where nobody is asked for one */
  readonly keys: readonly string[] | undefined
  /** where spending is written; only counted where absent */
  readonly folder: string | undefined
  /** who may spend; undefined where there is no folder to keep that in */
  readonly authority: BudgetAuthority | undefined
  /** names this process among several that write one folder */
  readonly owner: string
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
}

/** Why a budget closes a model to a request. */
export interface BudgetClosed {
  readonly reason: string
  readonly status: 402
  readonly retryAfter?: number
}

/** One process's side of spending. */
export interface Money {
  readonly admit: Admit
  readonly observe: ServedObserver
  /**
   * The budgets of a source (a policy) from now on, in place of its last ones.
   *
   * @param tiers of keys, by name
   * @throws config_invalid
   */
  declare(
    source: string,
    budgets: readonly BudgetSettings[],
    tiers?: Readonly<Record<string, string>>,
  ): void
  /** What `declare` would throw. */
  readonly check: Money['declare']
  /** Whether a budget that downgrades closes the model to the request, as far as is known here. Never waits. */
  closed(model: string, request: GatewayRequest): BudgetClosed | undefined
  report(): Promise<SpendReport>
  close(): Promise<void>
}

/** The setting that is missing where budgets have nowhere to be kept. */
export const SPEND_WHERE = 'gateway.spend.folder'

/** Where spending is written: its own folder, else one in the log's. */
export function spendFolderOf(
  gateway: GatewayConfig | undefined,
  log: { readonly folder: string } | undefined,
): string | undefined {
  return gateway?.spend?.folder ?? (gateway && log ? join(log.folder, 'spend') : undefined)
}

/** @throws config_invalid */
export function openMoney(options: OpenMoneyOptions): Money {
  const { gateway, folder, authority, now, onWarning } = options
  const terms = termsOf(gateway)
  const declared = new DeclaredBudgets()
  const table = new SpendTable()
  const since = now()
  /** models that this was said of */
  const overrun = new Set<string>()

  const check: Money['check'] = (source, budgets, tiers = {}) => {
    if (budgets.length > 0 && !authority) {
      throw new WeirError('config_invalid', {
        where: SPEND_WHERE,
        expected: 'it, or log.folder, beside budgets',
        got: 'no folder to keep them in',
      })
    }
    assertBudgetsFit(budgets, {
      where: source,
      models: gateway.models,
      terms,
      keys: options.keys,
      tiers: Object.values(tiers),
      allowHosts: gateway.allow_hosts,
    })
  }
  const declare: Money['declare'] = (source, budgets, tiers = {}) => {
    check(source, budgets, tiers)
    declared.set(source, budgets, tiers)
    authority?.declare(declared.all)
  }
  declare('gateway.budgets', gateway.budgets ?? [])

  const journal =
    folder === undefined
      ? undefined
      : new SpendJournal({
          folder,
          owner: options.owner,
          now,
          onHealth: (failure) =>
            onWarning(
              failure ? 'spending cannot be written' : 'spending is written again',
              failure,
            ),
        })
  return {
    admit: authority
      ? createAdmission({
          authority,
          declared,
          terms,
          owner: options.owner,
          onOverrun(model, claimed, cost) {
            if (overrun.has(model)) return
            overrun.add(model)
            onWarning(
              `${model} was billed $${dollarsOf(cost)}, more than the $${dollarsOf(claimed)} that its answer could cost: are its price, context and output_tokens right?`,
            )
          },
        })
      : () => undefined,
    observe(served) {
      for (const line of spendOf(served, now())) {
        table.add(line)
        journal?.append(line)
      }
    },
    check,
    declare,
    closed(model, request) {
      if (declared.empty || !authority || !terms.has(model)) return undefined
      // another endpoint's: its one model is asked or refused as it is sent
      if (request.body.messages.length === 0) return undefined
      const question = {
        endpoint: 'chat',
        request,
        plan: undefined,
        target: { model },
        body: request.body,
      } as const
      const claim = claimOf(question, declared, terms)
      const refusal = claim && authority.preview(claim)
      if (refusal?.action !== 'downgrade') return undefined
      const { message, retryAfter } = refused(refusal, model)
      return { reason: message, status: 402, ...(retryAfter === undefined ? {} : { retryAfter }) }
    },
    report: async () => ({
      since: new Date(since).toISOString(),
      cells: table.cells,
      budgets: (await authority?.states()) ?? [],
    }),
    async close() {
      journal?.close()
      await authority?.close()
    },
  }
}

/** The models whose price and context are known. */
function termsOf({ models }: GatewayConfig): Map<string, ModelTerms> {
  const terms = new Map<string, ModelTerms>()
  for (const [name, { price, context, output_tokens: outputTokens }] of Object.entries(models)) {
    if (price && context !== undefined) terms.set(name, { price, context, outputTokens })
  }
  return terms
}
