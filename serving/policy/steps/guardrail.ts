import Type from 'typebox'
import { Condition, compileCondition } from '../condition.ts'
import { closed, Name } from '../file.ts'
import { type PolicyRow, type Skip, type StepState, skip } from '../step.ts'

const Guardrails = Type.Array(
  Type.Object(
    {
      name: Name,
      when: Type.Optional(Condition),
      /** a semantic route that the last user message must be nearest to */
      near: Type.Optional(Name),
      message: Type.String({ minLength: 1 }),
      as: Type.Optional(Type.Union([Type.Literal('error'), Type.Literal('answer')])),
    },
    closed,
  ),
)

/**
 * Refuses, with the message in the file, requests that match a condition, are near a semantic route, or both.
 */
export const guardrail: PolicyRow<typeof Guardrails> = {
  key: 'guardrails',
  schema: Guardrails,
  admits: true,
  spendingRoutes: () => [],
  check(guardrails, { semantic }, find) {
    find.unique(['guardrails'], guardrails)
    const known = semantic?.routes.map(({ name }) => name) ?? []
    for (const [i, { when, near }] of guardrails.entries()) {
      if (when) find.condition(['guardrails', i], when)
      if (near !== undefined) find.oneOf(['guardrails', i, 'near'], known, near)
      if (!when && near === undefined) find.fault(['guardrails', i], 'when or near', 'neither')
    }
  },
  reads: (guardrails) => ({
    conditions: guardrails.map(({ name, when }) => ({ of: `the guardrail ${name}`, when })),
    near: guardrails.flatMap(({ near }) => near ?? []),
  }),
  step(section, { keys }, { languageOf }) {
    if (section.length === 0) return undefined
    const guardrails = section.map(({ when, ...rest }) => ({
      ...rest,
      holds: when && compileCondition(when, `guardrails/${rest.name}`, { keys, languageOf }),
    }))
    return {
      async decide(state) {
        let unsure: Skip | undefined
        for (const { name, message, as = 'error', holds, near } of guardrails) {
          if (holds && !holds(state)) continue
          const found = near === undefined || (await isNear(near, state))
          if (typeof found === 'object') unsure ??= skip(found.reason)
          if (found !== true) continue
          const reason = near === undefined ? 'matched' : 'near_examples'
          return { kind: 'refuse', message, as, deciding: { reason, name } }
        }
        return unsure
      },
    }
  },
}

async function isNear(route: string, { near }: StepState): Promise<boolean | Skip> {
  const found = await near()
  return found && 'kind' in found ? found : found?.name === route
}
