import type { Decision } from '../../models/decision.ts'
import type { GatewayRequest } from '../gateway/plan.ts'

export interface StickyOptions {
  readonly margin: number
  readonly minutes?: number
  readonly sessions?: number
}

/** The model of each session's last answer, kept while the win rate stays near the threshold. */
export class StickySessions {
  readonly #options: StickyOptions
  readonly #last = new Map<string, { readonly model: string; readonly time: number }>()

  constructor(options: StickyOptions) {
    this.#options = options
  }

  /** The session's model, where the decision would change it and is not clear enough to. */
  keep(request: GatewayRequest, decision: Decision, open: readonly string[]): string | undefined {
    const last = this.#last.get(keyOf(request))
    const fresh = last && request.time - last.time < (this.#options.minutes ?? 30) * 60_000
    const model = request.hints.previous_model ?? (fresh ? last.model : undefined)
    if (model === undefined || model === decision.model || !open.includes(model)) return undefined
    const distance = Math.abs((decision.win_rate ?? 1) - decision.threshold)
    return distance <= this.#options.margin ? model : undefined
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
