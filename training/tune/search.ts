import type { TObject } from 'typebox'
import type { Random } from '../../models/random.ts'
import { type Search, type Settings, settingSchemas } from '../settings.ts'

/** The hyperparameters of a family that `--tune` looks over, but for those that were set by hand. */
export function searchSpace(
  schema: TObject,
  fixed: Settings = {},
): readonly (readonly [string, Search])[] {
  return settingSchemas(schema).flatMap(([name, { search }]) =>
    search && !Object.hasOwn(fixed, name) ? [[name, search] as const] : [],
  )
}

/** One point of the space, each setting drawn by itself; numbers to three digits, for people to read. */
export function drawSettings(
  space: readonly (readonly [string, Search])[],
  random: Random,
): Settings {
  return Object.fromEntries(space.map(([name, search]) => [name, draw(search, random)]))
}

function draw(search: Search, random: Random): number | string {
  if ('among' in search) return search.among[random.int(search.among.length)]!
  const { from, to, scale } = search
  const at = random.next()
  const value = scale === 'log' ? from * (to / from) ** at : from + (to - from) * at
  return Number(value.toPrecision(3))
}

/** `1e-5 to 0.03, log` or `32, 64, 128` */
export const describeSearch = (search: Search): string =>
  'among' in search
    ? search.among.join(', ')
    : `${search.from} to ${search.to}${search.scale === 'log' ? ', log' : ''}`
