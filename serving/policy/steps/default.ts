import { Name } from '../file.ts'
import { type PolicyRow, skip } from '../step.ts'

/** The route of everything that no other step decided. */
export const defaultRoute: PolicyRow<typeof Name> = {
  key: 'default',
  schema: Name,
  required: true,
  check: (name, _, find) => find.oneOf(['default'], find.targets, name),
  step: (name) => ({
    decide: ({ route, serve }) =>
      serve(route(name)!, { reason: 'no_step_decided' }) ?? skip('models_closed', name),
  }),
}

/** If the default is closed: any open model, in the file's order. */
export const fallback: PolicyRow = {
  step: () => ({
    decide: ({ open, serve }) => serve({ models: [...open] }, { reason: 'default_closed' }),
  }),
}
