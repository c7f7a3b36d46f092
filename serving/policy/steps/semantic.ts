import { type StepFactory, skip } from '../step.ts'

const STEP = 'semantic'

/** The route whose examples are nearest. */
export const semanticStep: StepFactory = ({ file }) => {
  const routes = new Map(file.semantic?.routes.map(({ name, route }) => [name, route]))
  if (routes.size === 0) return undefined
  return {
    name: STEP,
    async decide({ near, route, serve }) {
      const found = await near()
      if (!found || 'kind' in found) return found
      const { name, score } = found
      const target = routes.get(name)
      if (target === undefined) return undefined
      const plan = serve(route(target)!, { step: STEP, reason: 'near_examples', name }, { score })
      return plan ?? skip('models_closed', name)
    },
  }
}
