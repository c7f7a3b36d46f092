import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import { makeFolders, writeWhole } from '../../core/files.ts'
import type { BanditState } from './linear-bandit.ts'

/** A bandit's state, plus what a server stores with it. */
export interface KeptBandit extends BanditState {
  /** mean outcome for a router that predicts only differences, and how many outcomes it was learnt from */
  readonly level?: { readonly mean: number; readonly count: number }
  /** the budget's current state */
  readonly pacer?: { readonly dual: number; readonly ahead: number }
}

const NAME = /^\d{8}\.json$/
const KEPT = 10

/**
 * Writes a state atomically as the next numbered file in a folder, and keeps the ten before it.
 *
 * @returns the number of the new state
 */
export async function keepBandit(folder: string, state: KeptBandit): Promise<number> {
  makeFolders(folder)
  const kept = await numbers(folder)
  const number = (kept.at(-1) ?? 0) + 1
  const { actions, dimension, observed, level, pacer } = state
  const body = definedOnly({
    level,
    pacer,
    actions,
    dimension,
    observed,
    gram: pack(state.gram),
    moment: pack(state.moment),
    coefficients: pack(state.coefficients),
  })
  await writeWhole(pathOf(folder, number), JSON.stringify(body))
  for (const old of kept.slice(0, -KEPT)) await rm(pathOf(folder, old), { force: true })
  return number
}

/** The newest state, or undefined if there is none. @throws state_invalid */
export async function lastBandit(folder: string): Promise<KeptBandit | undefined> {
  const last = (await numbers(folder)).at(-1)
  if (last === undefined) return undefined
  const path = pathOf(folder, last)
  try {
    const body = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
    const { actions, dimension, observed } = body
    const whole = [actions, dimension, observed].every((x) => Number.isInteger(x))
    if (!whole) throw new TypeError('a size is missing')
    const [a, d] = [Number(actions), Number(dimension)]
    return {
      actions: a,
      dimension: d,
      observed: Number(observed),
      ...(body.level === undefined ? {} : { level: pairOf(body.level, 'mean', 'count') }),
      ...(body.pacer === undefined ? {} : { pacer: pairOf(body.pacer, 'dual', 'ahead') }),
      gram: unpack(body.gram, a * d * d),
      moment: unpack(body.moment, a * d),
      coefficients: unpack(body.coefficients, a * d),
    }
  } catch (cause) {
    const reason = (cause as Error).message
    throw new WeirError('state_invalid', { path, what: 'the online head', reason }, { cause })
  }
}

/** The newest state's number; 0 if there is none. */
export async function newestBandit(folder: string): Promise<number> {
  return (await numbers(folder)).at(-1) ?? 0
}

/** Removes the newest state, so that the one before it is the newest. @returns the number of that state */
export async function revertBandit(folder: string): Promise<number | undefined> {
  const last = (await numbers(folder)).at(-1)
  if (last !== undefined) await rm(pathOf(folder, last))
  return last
}

const pathOf = (folder: string, number: number): string =>
  join(folder, `${String(number).padStart(8, '0')}.json`)

async function numbers(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => [])
  return names
    .filter((name) => NAME.test(name))
    .map((name) => Number.parseInt(name, 10))
    .sort((a, b) => a - b)
}

function pairOf<A extends string, B extends string>(
  value: unknown,
  a: A,
  b: B,
): Record<A | B, number> {
  const found = value as Record<string, unknown>
  const both = { [a]: found?.[a], [b]: found?.[b] } as Record<A | B, number>
  if (!Number.isFinite(both[a]) || !Number.isFinite(both[b])) {
    throw new TypeError(`expected numbers ${a} and ${b}`)
  }
  return both
}

const pack = (values: Float64Array): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64')

function unpack(text: unknown, length: number): Float64Array {
  const bytes = Buffer.from(String(text), 'base64')
  if (bytes.length !== 8 * length) {
    throw new TypeError(`expected ${length} numbers, got ${bytes.length / 8}`)
  }
  const values = new Float64Array(length)
  new Uint8Array(values.buffer).set(bytes)
  if (!values.every(Number.isFinite)) throw new TypeError('a number is not finite')
  return values
}
