import type { Registry } from 'prom-client'
import { WeirError } from '../../core/errors.ts'
import { registerLean } from '../../core/lean-metric.ts'
import { type Lock, lockFolder } from '../../core/lock.ts'
import { BudgetAlerts } from './alerts.ts'
import type { BudgetState } from './book.ts'
import { type LocalAuthority, openLocalAuthority } from './local-authority.ts'

export interface OpenAuthorityOptions {
  readonly folder: string
  /** the setting that names the folder, for errors */
  readonly where: string
  /** hosts that webhooks may be on; any, where absent */
  readonly allowHosts: readonly string[] | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
  /** holds the folder; the kernel's lock where absent. Tests in which a server crashes pass one that a crash gives back */
  readonly lock?: (folder: string) => Lock
}

/**
 * The budgets of a server, kept by this process, with whom they tell. The folder is opened, and locked, when
 * the first budget is declared: servers without any may share one.
 *
 * @throws config_invalid, in `declare`
 */
export function openAuthority(options: OpenAuthorityOptions): LocalAuthority {
  const alerts = new BudgetAlerts(options)
  let opened: LocalAuthority | undefined
  const lock = options.lock ?? ((folder: string): Lock => hold(folder, options))
  const open = (): LocalAuthority => {
    opened ??= openLocalAuthority({ ...options, lock, onAlert: alerts.tell })
    return opened
  }
  return {
    declare(budgets) {
      if (opened || budgets.length > 0) open().declare(budgets)
    },
    reserve: (id, claim) => open().reserve(id, claim),
    query: (claim) => opened?.query(claim),
    refused: (budget) => opened?.refused(budget),
    settle: (id, nanos) => opened?.settle(id, nanos),
    abandon: (prefix) => opened?.abandon(prefix),
    states: () => opened?.states() ?? [],
    async close() {
      await opened?.close()
      await alerts.close()
    },
  }
}

/** Two servers that each kept the budgets of one folder would both spend them. @throws config_invalid */
function hold(folder: string, { where, now }: OpenAuthorityOptions): Lock {
  const lock = lockFolder(folder, now)
  if ('release' in lock) return lock
  const expected = 'a folder that no other server keeps its budgets in'
  throw new WeirError('config_invalid', {
    where,
    expected,
    got: `${folder}, held by ${lock.holder}`,
  })
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
