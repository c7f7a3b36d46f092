import { compileCondition } from '../condition.ts'
import { type Pass, pass } from '../pass.ts'
import type { StepFactory, StepState } from '../step.ts'

const STEP = 'guardrail'

/** Refuses with the file's own words what a condition holds for, what is near a semantic route, or both. */
export const guardrailStep: StepFactory = ({ file }, { languageOf }) => {
  const guardrails = (file.guardrails ?? []).map(({ when, ...rest }) => ({
    ...rest,
    holds:
      when && compileCondition(when, `guardrails/${rest.name}`, { keys: file.keys, languageOf }),
  }))
  if (guardrails.length === 0) return undefined
  return {
    name: STEP,
    async decide(state) {
      let unsure: Pass | undefined
      for (const { name, message, as, holds, near } of guardrails) {
        if (holds && !holds(state)) continue
        const found = near === undefined || (await isNear(near, state))
        if (typeof found === 'object') unsure ??= pass(found.reason)
        if (found !== true) continue
        const reason = near === undefined ? 'matched' : 'near_examples'
        return {
          kind: 'refuse',
          message,
          as: as ?? 'error',
          deciding: { step: STEP, reason, name },
        }
      }
      return unsure
    },
  }
}

async function isNear(route: string, { near }: StepState): Promise<boolean | Pass> {
  const found = await near()
  return found && 'kind' in found ? found : found?.name === route
}
