import { WeirError } from '../../core/errors.ts'
import type { Decision, RouteRequest } from '../../models/decision/decision.ts'
import { isRemote } from '../../models/encoders/encoder.ts'
import type { Router } from '../../models/router.ts'
import type { GatewayRequest, Plan } from '../../serving/gateway/contracts.ts'
import { assertPolicyFits, type CheckedPolicy } from '../../serving/policy/check.ts'
import type { LearnedRouter } from '../../serving/policy/learned-router.ts'
import { createPolicy } from '../../serving/policy/pipeline.ts'
import { withTextReaders } from '../replay/router.ts'
import { type BundleFlags, openRouter } from './bundle-access.ts'

/**
 * Explains what a policy does with one request, without a server; no model is asked.
 *
 * @param options the learned router's bundle, without which that step is skipped, and the access of its
 * encoder
 * @throws config_invalid if policy and router do not fit, and errors of opening them
 */
export async function explainPolicy(
  policy: CheckedPolicy,
  request: GatewayRequest,
  options: BundleFlags & { readonly bundle?: string | undefined },
): Promise<Plan> {
  const { bundle } = options
  const router = bundle === undefined ? undefined : await openRouter(bundle, options)
  try {
    if (router && policy.file.learned) assertPolicyFits(policy, { pairs: [pairOf(router)] })
    const learned = router && learnedBy(router)
    return await withTextReaders(policy, (readers) =>
      createPolicy(policy, { ...readers, learned }).plan(request, {
        signal: new AbortController().signal,
        send: async ({ model }) => {
          const reason = 'no models are asked here'
          throw new WeirError('upstream_unavailable', { model, reason })
        },
      }),
    )
  } finally {
    await router?.close()
  }
}

function learnedBy(router: Router): LearnedRouter {
  // whatever its name in the file: it is the given bundle
  const decide = ({ router: _, ...asked }: RouteRequest): Promise<Decision> => router.route(asked)
  return {
    route: decide,
    preview: decide,
    has: (name) => name === router.manifest.name,
    remote: () => isRemote(router.manifest.encoder),
  }
}

function pairOf({ manifest }: Router): { router: string; strong: string; weak: string } {
  const its = (wanted: string): string =>
    manifest.candidates.find(({ role }) => role === wanted)!.model
  return { router: manifest.name, strong: its('strong'), weak: its('weak') }
}
