import { pass } from '../pass.ts'
import type { StepFactory } from '../step.ts'
import { StickySessions } from '../sticky.ts'

const STEP = 'sticky'

/** A session keeps its model, unless the learned router is clear that it should not. */
export const stickyStep: StepFactory = ({ file }) => {
  if (!file.sticky) return undefined
  const sessions = new StickySessions(file.sticky)
  return {
    name: STEP,
    async decide({ request, open, learned, serve }) {
      const model = sessions.last(request)
      if (model === undefined) return undefined
      if (!open.includes(model)) return pass('models_closed', model)
      const decision = await learned()
      if ('kind' in decision) return pass(decision.kind === 'pass' ? decision.reason : 'refused')
      // a model that the client says it had must be one that it could have had
      const able = decision.candidates.some((one) => one.model === model && one.eligible)
      if (!able) return pass('no_candidate', model)
      if (!sessions.within(decision)) return pass('beyond_margin', model)
      // where exploration drew, the session would have kept its model whatever was drawn
      if (model === decision.model && decision.propensity === 1) return pass('same_model', model)
      const others = decision.candidates.map((candidate) => candidate.model)
      const models = [model, ...others.filter((other) => other !== model)]
      return serve({ models }, { step: STEP, reason: 'within_margin' }, { decision })
    },
    decided({ request }, plan) {
      const { step } = plan.deciding
      if (step === STEP || plan.decision) sessions.remember(request, plan.targets[0]!.model)
    },
  }
}
