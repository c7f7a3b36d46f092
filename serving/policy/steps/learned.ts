import { LearnedSection } from '../file.ts'
import { type PolicyRow, skip } from '../step.ts'

/** The learned router's order, over the models that hard limits allow. */
export const learned: PolicyRow<typeof LearnedSection> = {
  key: 'learned',
  schema: LearnedSection,
  check({ strategy }, _, find) {
    if (!strategy) return
    const at = ['learned', 'strategy']
    if (strategy.kind === 'cascade') find.strategy(at, strategy)
    else find.fault([...at, 'kind'], 'cascade', strategy.kind)
  },
  step: ({ strategy }) => ({
    async decide({ learned, serve }) {
      const decision = await learned()
      if ('kind' in decision) return decision
      const models = decision.candidates.map(({ model }) => model)
      const { reason, propensity } = decision
      // if the weak model was picked the next one is better; a cascade to a weaker model would check nothing
      const climbs = strategy && reason === 'win_rate_below'
      const route = climbs ? { models, strategy } : { models }
      return serve(route, { reason }, { decision, propensity }) ?? skip('models_closed')
    },
  }),
}
