import { pass } from '../pass.ts'
import type { StepFactory } from '../step.ts'

const STEP = 'semantic'

/** The route whose examples are nearest. What is sensitive is not sent to an encoder elsewhere. */
export const semanticStep: StepFactory = ({ file }, { semantic }) => {
  const routes = new Map(file.semantic?.routes.map(({ name, route }) => [name, route]))
  if (routes.size === 0) return undefined
  return {
    name: STEP,
    async decide({ traits, sensitive, signal, route, serve }) {
      if (!semantic) return pass('no_encoder')
      if (sensitive && semantic.remote) return pass('sensitive_and_encoder_remote')
      if (!/\S/.test(traits.question)) return pass('no_text')
      const near = await semantic.match(traits.question, signal)
      const target = near && routes.get(near.name)
      if (!near || target === undefined) return undefined
      const { name, score } = near
      const plan = serve(route(target)!, { step: STEP, reason: 'near_examples', name }, { score })
      return plan ?? pass('models_closed', name)
    },
  }
}
