import { type StepFactory, skip } from '../step.ts'

const STEP = 'model_named'

/** The route or model that the client asked for by its name. */
export const namedStep: StepFactory = ({ file }) => ({
  name: STEP,
  decide({ named, request, serve }) {
    if (!named) return undefined
    const { name, route } = named
    // a key that is held to routers does not get round them by naming a model
    if (request.caller.routers && Object.hasOwn(file.models, name)) {
      return {
        kind: 'refuse',
        as: 'error',
        message: `this key may not name the model ${name}`,
        deciding: { step: STEP, reason: 'router_forbidden' },
      }
    }
    return serve(route, { step: STEP, reason: 'asked_for', name }) ?? skip('models_closed', name)
  },
})
