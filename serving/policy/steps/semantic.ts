import { SemanticSection } from '../file.ts'
import { type PolicyRow, skip } from '../step.ts'

/** The route whose examples are nearest. */
export const semantic: PolicyRow<typeof SemanticSection> = {
  key: 'semantic',
  schema: SemanticSection,
  check({ routes, encoder }, { privacy }, find) {
    if (privacy && encoder.startsWith('openai:')) {
      const expected = 'an encoder on this machine beside privacy'
      find.fault(['semantic', 'encoder'], expected, encoder)
    }
    find.unique(['semantic', 'routes'], routes)
    for (const [i, { name, route }] of routes.entries()) {
      const at = ['semantic', 'routes', i, 'route']
      if (route !== undefined) find.oneOf(at, find.targets, route)
      else if (!find.near.includes(name)) {
        find.fault(at, 'a route, or a guardrail that is near it', 'neither')
      }
    }
  },
  reads: () => ({ text: 'the semantic routes' }),
  spendingRoutes: ({ routes }) => routes.map(({ name }) => name),
  step(section) {
    const routes = new Map(section.routes.map(({ name, route }) => [name, route]))
    return {
      async decide({ near, route, serve }) {
        const found = await near()
        if (!found || 'kind' in found) return found
        const { name, score } = found
        const target = routes.get(name)
        if (target === undefined) return undefined
        const plan = serve(route(target)!, { reason: 'near_examples', name }, { score })
        return plan ?? skip('models_closed', name)
      },
    }
  },
}
