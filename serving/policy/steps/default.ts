import { type StepFactory, skip } from '../step.ts'

const STEP = 'default'

/** The route of everything that no step decided. */
export const defaultStep: StepFactory = ({ file }) => ({
  name: STEP,
  decide: ({ route, serve }) =>
    serve(route(file.default)!, { step: STEP, reason: 'no_step_decided' }) ??
    skip('models_closed', file.default),
})
