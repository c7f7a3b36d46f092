import { WeirError } from '../../../core/errors.ts'
import { promptHash } from '../../../core/hash.ts'
import { ModelAsker, timeLimit } from '../../strategies/ask-model.ts'
import { lastTurns } from '../../strategies/judge.ts'

import { pass } from '../pass.ts'
import { NO_ROUTE, type RouteOption, routeQuestion, routeSaid } from '../route-question.ts'
import type { StepFactory } from '../step.ts'

const STEP = 'decide_by_model'
const TIMEOUT_MS = 3_000
const CHARACTERS = 4_000
const CACHE = 10_000

/**
 * A small model picks one of the routes by their descriptions. It is held to their names where its upstream
 * can do that; anything else that it says, and silence, decides nothing. It sees only requests that hard
 * limits let it see, and is offered only routes that they leave a model of.
 */
export const decideByModelStep: StepFactory = ({ file }) => {
  const section = file.decide_by_model
  if (!section) return undefined
  const routes = file.routes ?? {}
  const all: RouteOption[] = Object.entries(routes).flatMap(([name, { description }]) => {
    const offered = section.routes?.includes(name) ?? true
    return description !== undefined && offered ? [{ name, description }] : []
  })
  const { timeout_ms: timeout = TIMEOUT_MS, characters = CHARACTERS, cache = CACHE } = section
  const asker = new ModelAsker()
  /** routes by conversation; in the order of their last use. A guess spared, and the same answer next time */
  const known = new Map<string, string>()
  const remember = (key: string, name: string): void => {
    known.delete(key)
    known.set(key, name)
    const oldest = known.keys().next().value
    if (known.size > cache && oldest !== undefined) known.delete(oldest)
  }
  return {
    name: STEP,
    async decide({ request, open, traits, signal, send, route, serve }) {
      if (!open.includes(section.model)) return pass('model_closed')
      const options = all.filter(({ name }) =>
        routes[name]!.models.some((one) => open.includes(one)),
      )
      if (options.length === 0) return pass('models_closed')
      if (!/\S/.test(traits.question)) return pass('no_text')
      const question = routeQuestion(section, options, lastTurns(request.body.messages, characters))
      const key = promptHash(JSON.stringify([question.system, question.data]))
      let name = known.get(key)
      if (name === undefined) {
        const limit = timeLimit(signal, timeout)
        try {
          name = routeSaid(await asker.ask(question, send, limit), options)
        } catch (error) {
          if (signal.aborted || !(error instanceof WeirError)) throw error
          return pass('model_failed')
        } finally {
          limit.end()
        }
        if (name === undefined) return pass('answer_malformed')
      }
      remember(key, name)
      if (name === NO_ROUTE) return pass('no_route_fits')
      return (
        serve(route(name)!, { step: STEP, reason: 'chosen', name }) ?? pass('models_closed', name)
      )
    },
  }
}
