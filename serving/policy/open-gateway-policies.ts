import { basename, extname } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import type { Encoder } from '../../models/encoders/encoder.ts'
import type { GatewayConfig } from '../gateway/config.ts'
import type { Decider } from '../router/decider.ts'
import type { Fleet } from '../router/fleet.ts'
import { EncoderPool } from './encoder-pool.ts'
import { fleetRouter } from './fleet-router.ts'
import type { ModelLimit } from './limits.ts'
import { type LivePolicies, openPolicies } from './live-policies.ts'
import type { PolicyHooks } from './loading.ts'
import type { PolicySource } from './policy-arms.ts'

export interface GatewayPolicyOptions {
  readonly decider: Decider
  readonly fleet: Fleet
  /** exploration or an online head draws */
  readonly draws: boolean
  /** as `weir train --encoder` takes it, for semantic routes */
  readonly makeEncoder: (name: string) => Promise<Encoder>
  readonly limits?: readonly ModelLimit[]
  readonly hooks?: PolicyHooks | undefined
  readonly onWarning: (message: string, error?: unknown) => void
  readonly now: () => number
}

/** The policies of a gateway's configuration; undefined where it names none. @throws config_invalid, file_not_found */
export async function openGatewayPolicies(
  config: GatewayConfig,
  options: GatewayPolicyOptions,
): Promise<LivePolicies | undefined> {
  const sources = policySources(config)
  if (sources.length === 0) return undefined
  const { limits, hooks, onWarning, now } = options
  return openPolicies({
    sources,
    models: Object.keys(config.models),
    learned: fleetRouter(options),
    encoders: new EncoderPool(options.makeEncoder),
    ...(limits ? { limits } : {}),
    ...(config.allow_down === undefined ? {} : { allowDown: config.allow_down }),
    ...(config.hedge_after_ms === undefined ? {} : { hedgeAfterMs: config.hedge_after_ms }),
    hooks,
    onWarning,
    now,
  })
}

function policySources({ policy, policies = [] }: GatewayConfig): readonly PolicySource[] {
  const invalid = (expected: string, got: string): WeirError =>
    new WeirError('config_invalid', { where: 'gateway.policies', expected, got })
  if (policy !== undefined) {
    if (policies.length > 0) throw invalid('either policy or policies', 'both')
    return [{ name: basename(policy, extname(policy)), path: policy, weight: 1 }]
  }
  const names = policies.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) < i)
  if (twice !== undefined) throw invalid('a name of its own for each', `${twice} twice`)
  return policies
}
