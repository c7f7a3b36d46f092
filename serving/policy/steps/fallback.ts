import type { StepFactory } from '../step.ts'

const STEP = 'fallback'

/** Where the default is closed: whatever is open, in the file's order. */
export const fallbackStep: StepFactory = () => ({
  name: STEP,
  decide: ({ open, serve }) =>
    serve({ models: [...open] }, { step: STEP, reason: 'default_closed' }),
})
