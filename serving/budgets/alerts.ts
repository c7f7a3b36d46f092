import type { BudgetAlert } from './book.ts'
import { dollarsOf } from './nanodollars.ts'
import { postWebhook, webhookUrl } from './webhook.ts'

export interface AlertsOptions {
  /** hosts that webhooks may be on, as for upstreams */
  readonly allowHosts: readonly string[] | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
  /** milliseconds before the first retry of a webhook */
  readonly waitMs?: number
}

/** Tells people of budgets: a warning in the log, and the webhook. No request waits for it. */
export class BudgetAlerts {
  readonly #options: AlertsOptions
  readonly #stopped = new AbortController()
  readonly #sending = new Set<Promise<void>>()

  constructor(options: AlertsOptions) {
    this.#options = options
  }

  tell = (alert: BudgetAlert): void => {
    const { budget, level } = alert
    const digits = budget.usd < 1 ? 4 : 2
    const spent = `$${dollarsOf(alert.spent).toFixed(digits)} of $${budget.usd}`
    const period = budget.per === 'total' ? '' : ` in ${alert.period}`
    const what =
      level === 'refusing'
        ? budget.then === 'stop'
          ? 'requests that do not fit are refused'
          : 'models that do not fit are closed'
        : `${Math.round(level * 100)}% is reached`
    this.#options.onWarning(`budget ${budget.name}: ${what} (${spent} spent${period})`)
    if (budget.webhook === undefined) return
    const sending = this.#post(alert, budget.webhook).finally(() => this.#sending.delete(sending))
    this.#sending.add(sending)
  }

  /** Gives what is being sent a moment, then stops. */
  async close(graceMs = 1000): Promise<void> {
    if (this.#sending.size === 0) return
    const cut = setTimeout(() => this.#stopped.abort(), graceMs)
    await Promise.all(this.#sending)
    clearTimeout(cut)
  }

  async #post({ budget, period, level, spent }: BudgetAlert, webhook: string): Promise<void> {
    const { allowHosts, now, onWarning, waitMs } = this.#options
    const { name, usd, per } = budget
    try {
      const url = webhookUrl(webhook, `budgets.${name}.webhook`, allowHosts)
      const value = {
        object: 'budget.alert',
        budget: name,
        level,
        period,
        per,
        usd,
        spent_usd: dollarsOf(spent),
        action: budget.then,
        time: new Date(now()).toISOString(),
      }
      const { signal } = this.#stopped
      await postWebhook(url, value, { signal, ...(waitMs === undefined ? {} : { waitMs }) })
    } catch (error) {
      onWarning(`budget ${name}: its webhook could not be told`, error)
    }
  }
}
