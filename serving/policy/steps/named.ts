import { mayName } from '../../router/keys.ts'
import { type PolicyRow, skip } from '../step.ts'

/** The route or model that the client asked for by its name. */
export const named: PolicyRow = {
  step: (_, { models }) => ({
    decide({ named, request, serve }) {
      if (!named) return undefined
      const { name, route } = named
      // a key limited to some routers cannot bypass them by naming a model
      if (Object.hasOwn(models, name) && !mayName(request.caller, name)) {
        return {
          kind: 'refuse',
          as: 'error',
          message: `this key may not name the model ${name}`,
          deciding: { reason: 'router_forbidden' },
        }
      }
      return serve(route, { reason: 'asked_for', name }) ?? skip('models_closed', name)
    },
  }),
}
