import type { Registry } from 'prom-client'
import type { GatewayConfig } from '../gateway/config.ts'
import type { ServeConfig } from '../server/config.ts'
import type { PrimaryLine } from '../state/primary-channel.ts'
import { budgetMetrics, openAuthority } from './open-authority.ts'
import { type Money, openMoney, SPEND_WHERE, spendFolderOf } from './open-money.ts'
import { remoteAuthority } from './remote-authority.ts'

export interface OpenSpendingOptions {
  /** of a worker; budgets are then the primary's */
  readonly primary: PrimaryLine | undefined
  readonly owner: string
  readonly registry: Registry
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
}

/** A process's spending, and where it alone serves, its budgets. @param gateway with its prices. @throws config_invalid */
export function openSpending(
  config: ServeConfig,
  gateway: GatewayConfig,
  { primary, owner, registry, now, onWarning }: OpenSpendingOptions,
): Money {
  const folder = spendFolderOf(gateway, config.log)
  const local =
    folder === undefined || primary
      ? undefined
      : openAuthority({
          folder,
          where: SPEND_WHERE,
          allowHosts: gateway.allow_hosts,
          now,
          onWarning,
        })
  if (local) budgetMetrics(registry, () => local.states())
  const keys = config.keys?.map(({ name }) => name)
  return openMoney({
    gateway,
    keys: keys && keys.length > 0 ? keys : undefined,
    folder,
    authority: folder === undefined ? undefined : primary ? remoteAuthority(primary, now) : local,
    owner,
    now,
    onWarning,
  })
}
