import { checkPolicy } from '../policy/check.ts'
import type { PolicyFile } from '../policy/file.ts'
import { joinHooks, type PolicyCandidate, type PolicyHooks } from '../policy/loading.ts'

import type { Money } from './open-money.ts'

/** Takes the budgets of policies as they are loaded, beside other hooks. */
export function budgetHooks(money: Money, more: PolicyHooks = {}): PolicyHooks {
  const own: PolicyHooks = {
    admit: (candidate) => money.check(...budgetsOf(candidate)),
    onPolicyLoaded: (loaded) => money.declare(...budgetsOf(loaded)),
  }
  return joinHooks(own, more)
}

function budgetsOf({ name, path, text }: PolicyCandidate): Parameters<Money['declare']> {
  const { file } = checkPolicy(text, path)
  return [`policy ${name}: budgets`, file.budgets ?? [], tiersOf(file)]
}

/** Of keys, by name. */
export const tiersOf = ({ keys = {} }: PolicyFile): Record<string, string> =>
  Object.fromEntries(
    Object.entries(keys).flatMap(([name, { tier }]) => (tier === undefined ? [] : [[name, tier]])),
  )
