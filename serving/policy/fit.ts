import { type CheckedPolicy, faultError } from './check.ts'
import type { PolicyFault } from './fault.ts'

/** A router's pair, of which it always picks one where both are open. */
export interface RouterPair {
  readonly router: string
  readonly strong: string
  readonly weak: string
}

export interface PolicySurroundings {
  /** names of `gateway.models`; any, where nothing is served */
  readonly models?: Iterable<string>
  /** of the routers that the `learned` section may ask; none where it names no router that is served */
  readonly pairs: readonly RouterPair[]
}

/**
 * Holds a policy file to what it is served beside: models that nobody answers for, and routers that would
 * pick a model the policy does not know, are refused before the first request.
 *
 * @throws config_invalid
 */
export function assertPolicyFits(
  { file, source }: CheckedPolicy,
  { models, pairs }: PolicySurroundings,
): void {
  const refuse = (at: readonly string[], expected: string, got: string): never => {
    const fault: PolicyFault = { line: source.lineOf(at), field: at.join('.'), expected, got }
    throw faultError(fault, source.path)
  }
  const served = models && new Set(models)
  for (const model of Object.keys(file.models)) {
    if (served && !served.has(model)) {
      refuse(['models', model], `one of gateway.models (${[...served].join(', ')})`, model)
    }
  }
  if (!file.learned) return
  if (pairs.length === 0) {
    refuse(['learned', 'router'], 'a router that is served', file.learned.router ?? 'none')
  }
  for (const { router, strong, weak } of pairs) {
    for (const [role, model] of Object.entries({ strong, weak })) {
      if (Object.hasOwn(file.models, model)) continue
      const expected = `${model}, the ${role} model of the router ${router}, among the models`
      refuse(['learned'], expected, Object.keys(file.models).join(', '))
    }
  }
}
