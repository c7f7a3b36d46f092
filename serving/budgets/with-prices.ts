import { readPrices } from '../../models/prices.ts'
import type { GatewayConfig } from '../gateway/config.ts'

/** The configuration with the prices of its price file filled in. @throws file_not_found, config_invalid */
export async function withPrices(gateway: GatewayConfig): Promise<GatewayConfig> {
  if (gateway.prices === undefined) return gateway
  const prices = await readPrices(gateway.prices)
  const models = Object.entries(gateway.models).map(([name, model]) => {
    const price = model.price ?? prices.get(name)
    return [name, price ? { ...model, price } : model] as const
  })
  return { ...gateway, models: Object.fromEntries(models) }
}
