import { type StepFactory, skip } from '../step.ts'

const STEP = 'learned'

/** The learned router's order, as far as hard limits leave it. */
export const learnedStep: StepFactory = ({ file }) => {
  if (!file.learned) return undefined
  const { strategy } = file.learned
  return {
    name: STEP,
    async decide({ learned, serve }) {
      const decision = await learned()
      if ('kind' in decision) return decision
      const models = decision.candidates.map(({ model }) => model)
      const { reason, propensity } = decision
      // where the weak model was picked the next one is better; a cascade down would check nothing
      const climbs = strategy && reason === 'win_rate_below'
      const route = climbs ? { models, strategy } : { models }
      const plan = serve(route, { step: STEP, reason }, { decision, propensity })
      return plan ?? skip('models_closed')
    },
  }
}
