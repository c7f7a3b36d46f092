import { compileCondition } from '../condition.ts'
import { type Skip, type StepFactory, type StepState, skip } from '../step.ts'

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
      let unsure: Skip | undefined
      for (const { name, message, as, holds, near } of guardrails) {
        if (holds && !holds(state)) continue
        const found = near === undefined || (await isNear(near, state))
        if (typeof found === 'object') unsure ??= skip(found.reason)
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

async function isNear(route: string, { near }: StepState): Promise<boolean | Skip> {
  const found = await near()
  return found && 'kind' in found ? found : found?.name === route
}
