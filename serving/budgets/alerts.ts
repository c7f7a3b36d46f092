import { setTimeout as wait } from 'node:timers/promises'
import { type OutgoingUrl, outgoingFetch } from '../../core/outgoing.ts'
import type { BudgetAlert } from './ledger.ts'
import { webhookUrl } from './settings.ts'
import { dollarsOf } from './units.ts'

export interface AlertsOptions {
  /** hosts that webhooks may be on, as for upstreams */
  readonly allowHosts: readonly string[] | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
  /** milliseconds before the first retry of a webhook */
  readonly waitMs?: number
}

/** Sends alerts: a warning in the log, and the webhook. Requests do not wait for it. */
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

  /** Waits briefly for alerts being sent, then stops. */
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

const ATTEMPTS = 5
const FIRST_WAIT_MS = 1000
const TIMEOUT_MS = 5000

export interface WebhookOptions {
  readonly signal: AbortSignal
  /** milliseconds before the first retry, doubled each time */
  readonly waitMs?: number
}

/** Posts JSON until a 2xx comes, with a few retries. Redirects are not followed. @throws the last failure */
async function postWebhook(
  url: OutgoingUrl,
  value: unknown,
  { signal, waitMs = FIRST_WAIT_MS }: WebhookOptions,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await post(url, JSON.stringify(value), signal)
    } catch (error) {
      if (attempt >= ATTEMPTS || signal.aborted) throw error
      await wait(waitMs * 2 ** (attempt - 1), undefined, { signal, ref: false })
    }
  }
}

async function post(url: OutgoingUrl, body: string, signal: AbortSignal): Promise<void> {
  const response = await outgoingFetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  })
  await response.body?.cancel()
  // the response's text and the URL may contain a token
  if (!response.ok) throw new Error(`HTTP ${response.status}`)
}
