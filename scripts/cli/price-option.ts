import { type Price, readPrices } from '../../models/prices.ts'

import { parsePrice } from './key-value.ts'

/** `--price`, as often as given: `model=in/out`, or a JSON file of prices. Later ones win. */
export async function priceOption(values: readonly string[]): Promise<Map<string, Price>> {
  const prices = new Map<string, Price>()
  for (const value of values) {
    const found = value.endsWith('.json') ? await readPrices(value) : [parsePrice('--price', value)]
    for (const [model, price] of found) prices.set(model, price)
  }
  return prices
}
