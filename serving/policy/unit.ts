import { promptHash } from '../../models/prompt-hash.ts'
import type { GatewayRequest } from '../gateway/plan.ts'
import { ANYONE } from '../keys.ts'

/** What splits are sticky by: the session, else the key, else nothing but the request itself. */
export function unitOf({ id, caller, hints }: GatewayRequest): string {
  if (hints.session_id !== undefined) return `session\n${caller.name}\n${hints.session_id}`
  return caller.name === ANYONE.name ? `request\n${id}` : `key\n${caller.name}`
}

/** Where a unit falls in [0, 1): always at the same place in a split of this name, independent of others. */
export function placeIn(split: string, unit: string): number {
  // 52 bits of the hash, uniform
  return Number.parseInt(promptHash(`${split}\n${unit}`).slice(0, 13), 16) / 2 ** 52
}
