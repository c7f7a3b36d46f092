import type { Decision } from '../../../models/decision/decision.ts'
import type { GatewayRequest } from '../../gateway/contracts.ts'
import { type StepFactory, skip } from '../step.ts'

export interface StickyOptions {
  readonly margin: number
  readonly minutes?: number
  readonly sessions?: number
}

/** The model of each session's last answer. */
class StickySessions {
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

const STEP = 'sticky'

/** A session keeps its model, unless the learned router is clear that it should not. */
export const stickyStep: StepFactory = ({ file }) => {
  if (!file.sticky) return undefined
  const sessions = new StickySessions(file.sticky)
  return {
    name: STEP,
    async decide({ request, open, learned, serve }) {
      const model = sessions.last(request)
      if (model === undefined) return undefined
      if (!open.includes(model)) return skip('models_closed', model)
      const decision = await learned()
      if ('kind' in decision) return skip(decision.kind === 'pass' ? decision.reason : 'refused')
      // a model that the client says it had must be one that it could have had
      const able = decision.candidates.some((one) => one.model === model && one.eligible)
      if (!able) return skip('no_candidate', model)
      if (!sessions.within(decision)) return skip('beyond_margin', model)
      // where exploration drew, the session would have kept its model whatever was drawn
      if (model === decision.model && decision.propensity === 1) return skip('same_model', model)
      const others = decision.candidates.map((candidate) => candidate.model)
      const models = [model, ...others.filter((other) => other !== model)]
      return serve({ models }, { step: STEP, reason: 'within_margin' }, { decision })
    },
    decided({ request }, plan) {
      const { step } = plan.deciding
      if (step === STEP || plan.decision) sessions.remember(request, plan.targets[0]!.model)
    },
  }
}
