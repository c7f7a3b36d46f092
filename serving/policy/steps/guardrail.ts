import { compileCondition } from '../condition.ts'
import type { StepFactory } from '../step.ts'

const STEP = 'guardrail'

/** Refuses with the file's own words. */
export const guardrailStep: StepFactory = ({ file }) => {
  const guardrails = (file.guardrails ?? []).map((guardrail) => ({
    ...guardrail,
    holds: compileCondition(guardrail.when, file.keys),
  }))
  if (guardrails.length === 0) return undefined
  return {
    name: STEP,
    decide({ request, traits }) {
      const hit = guardrails.find(({ holds }) => holds(request, traits))
      if (!hit) return undefined
      const { name, message, as } = hit
      const deciding = { step: STEP, reason: 'matched', name }
      return { kind: 'refuse', message, as: as ?? 'error', deciding }
    },
  }
}
