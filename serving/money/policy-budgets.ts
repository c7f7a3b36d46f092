import { checkPolicy } from '../policy/check.ts'
import type { PolicyFile } from '../policy/file.ts'
import type { PolicyCandidate, PolicyHooks } from '../policy/loading.ts'
import type { Money } from './open-money.ts'

/** Takes the budgets of policies as they are loaded, beside other hooks. */
export function budgetHooks(money: Money, more: PolicyHooks | undefined): PolicyHooks {
  return {
    async admit(candidate, why) {
      money.check(...budgetsOf(candidate))
      await more?.admit?.(candidate, why)
    },
    async onPolicyLoaded(loaded) {
      money.declare(...budgetsOf(loaded))
      await more?.onPolicyLoaded?.(loaded)
    },
    async onPolicyRefused(refused) {
      await more?.onPolicyRefused?.(refused)
    },
  }
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
