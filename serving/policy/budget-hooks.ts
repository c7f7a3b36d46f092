import type { Budgets } from '../budgets/open.ts'
import { checkPolicy } from './check.ts'
import type { PolicyFile } from './file.ts'
import { joinHooks, type PolicyCandidate, type PolicyHooks } from './loading.ts'

/** Declares the budgets of policies as they are loaded, beside other hooks. */
export function budgetHooks(budgets: Budgets, more: PolicyHooks = {}): PolicyHooks {
  const declaration = ({ name, path, text }: PolicyCandidate) =>
    declarationOf(name, checkPolicy(text, path).file)
  const own: PolicyHooks = {
    admit: (candidate) => budgets.check(...declaration(candidate)),
    onPolicyLoaded: (loaded) => budgets.declare(...declaration(loaded)),
  }
  return joinHooks(own, more)
}

/** What of a policy file budgets need to know: its budgets, and the tiers of keys by name. */
function declarationOf(name: string, file: PolicyFile): Parameters<Budgets['declare']> {
  const tiers = Object.entries(file.keys ?? {}).flatMap(([key, { tier }]) =>
    tier === undefined ? [] : [[key, tier] as const],
  )
  return [`policy ${name}: budgets`, file.budgets ?? [], Object.fromEntries(tiers)]
}
