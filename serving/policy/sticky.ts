import type { Decision } from '../../models/decision.ts'
import type { GatewayRequest } from '../gateway/plan.ts'

export interface StickyOptions {
  readonly margin: number
  readonly minutes?: number
  readonly sessions?: number
}

/** The model of each session's last answer. */
export class StickySessions {
  readonly #options: StickyOptions
  readonly #last = new Map<string, { readonly model: string; readonly time: number }>()

  constructor(options: StickyOptions) {
    this.#options = options
  }

  /** The model that the client says, or that this process remembers. */
  last(request: GatewayRequest): string | undefined {
    if (request.hints.previous_model !== undefined) return request.hints.previous_model
    const last = this.#last.get(keyOf(request))
    const fresh = last && request.time - last.time < (this.#options.minutes ?? 30) * 60_000
    return fresh ? last.model : undefined
  }

  /** Whether a decision is too near its threshold to change a session's model. */
  within({ win_rate, threshold }: Decision): boolean {
    return Math.abs((win_rate ?? 1) - threshold) <= this.#options.margin
  }

  remember(request: GatewayRequest, model: string): void {
    if (request.hints.session_id === undefined) return
    const key = keyOf(request)
    // set again, so that the map's order is by last use
    this.#last.delete(key)
    this.#last.set(key, { model, time: request.time })
    const oldest = this.#last.keys().next().value
    if (this.#last.size > (this.#options.sessions ?? 10_000) && oldest !== undefined) {
      this.#last.delete(oldest)
    }
  }
}

/** A session belongs to one key: another key's of the same name is another. */
const keyOf = ({ caller, hints }: GatewayRequest): string =>
  JSON.stringify([caller.name, hints.session_id])
