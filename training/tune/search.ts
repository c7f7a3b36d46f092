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

/**
 * Points of the space by Latin hypercube sampling (McKay, Beckman and Conover 1979): each setting's range is cut
 * into as many parts as there are points, and each part is used once. Numbers to three digits, for people to read.
 */
export function drawSettings(
  space: readonly (readonly [string, Search])[],
  count: number,
  random: Random,
): Settings[] {
  if (space.length === 0) return []
  const columns = space.map(([name, search]) => {
    const parts = random.shuffle(Array.from({ length: count }, (_, part) => part))
    return { name, values: parts.map((part) => valueAt(search, (part + random.next()) / count)) }
  })
  return Array.from({ length: count }, (_, i) =>
    Object.fromEntries(columns.map(({ name, values }) => [name, values[i]!])),
  )
}

/** @param at in [0, 1) */
function valueAt(search: Search, at: number): number | string {
  if ('among' in search) return search.among[Math.floor(at * search.among.length)]!
  const { from, to, scale } = search
  const value = scale === 'log' ? from * (to / from) ** at : from + (to - from) * at
  return Number(value.toPrecision(3))
}

/** `1e-5 to 0.03, log` or `32, 64, 128` */
export const describeSearch = (search: Search): string =>
  'among' in search
    ? search.among.join(', ')
    : `${search.from} to ${search.to}${search.scale === 'log' ? ', log' : ''}`
