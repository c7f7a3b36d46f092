import Type, { type TObject, type TSchema } from 'typebox'
import { Check } from 'typebox/value'
import { describeValue } from '../../core/schema-fault.ts'

/** A family's hyperparameters, by name: numbers, and words where the schema lists them. */
export type Settings = Readonly<Record<string, number | string>>

/** The values that `--tune` searches: a range of numbers, or a list. */
export type Search =
  | { readonly from: number; readonly to: number; readonly scale: 'linear' | 'log' }
  | { readonly among: readonly (number | string)[] }

interface Bounds {
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly search?: Search
}

/** A number with its default and one sentence on what it does. */
export const real = (initial: number, description: string, bounds: Bounds = {}) =>
  Type.Number({ default: initial, description, ...bounds })

export const whole = (initial: number, description: string, bounds: Bounds = {}) =>
  Type.Integer({ default: initial, description, ...bounds })

/** The settings that every family trained by gradient steps has; `l2` and `rate` are where `--tune` looks. */
export const descentSettings = (about: {
  readonly batch: string
  readonly penalised: string
  readonly rate: number
  readonly l2: number
}) => ({
  epochs: whole(100, 'maximum number of epochs', { minimum: 1, maximum: 100_000 }),
  batch_size: whole(64, `rows per gradient step; ${about.batch}`, {
    minimum: 1,
    maximum: 1_000_000,
  }),
  learning_rate: real(1e-3, 'step size of Adam; scales with the square root of the batch size', {
    exclusiveMinimum: 0,
    maximum: 1,
    search: { from: about.rate, to: 3e-3, scale: 'log' },
  }),
  l2: real(1e-3, `L2 penalty on ${about.penalised}`, {
    minimum: 0,
    search: { from: 1e-5, to: about.l2, scale: 'log' },
  }),
  patience: whole(5, 'stop after this many epochs without a lower validation loss', { minimum: 1 }),
})

/** The last settings of the families that store training rows. */
export const neighbourSettings = (kept: string) => ({
  tail: whole(0, 'number of dense columns at the end of a sparse row; set by --encoder', {
    minimum: 0,
  }),
  refit: whole(1, `1: ${kept}`, { minimum: 0, maximum: 1 }),
})

/** One of the given words; the first is the default. */
export const word = <const Word extends string>(
  words: readonly Word[],
  description: string,
  more: { readonly search?: Search } = {},
) => Type.Unsafe<Word>({ type: 'string', enum: words, default: words[0], description, ...more })

/** One of the given words, or a number above 0. */
export const wordOrNumber = <const Word extends string>(
  words: readonly Word[],
  description: string,
) =>
  Type.Unsafe<Word | number>({
    anyOf: [{ enum: words }, { type: 'number', exclusiveMinimum: 0 }],
    default: words[0],
    description,
  })

/** The fields of a hyperparameter's schema. */
export interface SettingSchema extends Bounds {
  readonly type?: 'number' | 'integer' | 'string'
  readonly enum?: readonly string[]
  readonly anyOf?: readonly [{ readonly enum: readonly string[] }, Bounds]
  readonly default: number | string
  readonly description: string
}

/** The members of a family's schema, in the order of their declaration. */
export const settingSchemas = (schema: TObject): readonly (readonly [string, SettingSchema])[] =>
  Object.entries(schema.properties as Record<string, SettingSchema & TSchema>)

export function defaultsOf<Schema extends TObject>(schema: Schema): Type.Static<Schema> {
  const entries = settingSchemas(schema).map(([name, { default: value }]) => [name, value])
  // a schema made of the four kinds above has defaults of the right types
  return Object.fromEntries(entries) as Type.Static<Schema>
}

/** The fault of a setting: a name that the family does not have, or a value out of bounds. */
export function settingFault(
  schema: TObject,
  name: string,
  value: unknown,
): { readonly expected: string; readonly got: string } | undefined {
  const known = settingSchemas(schema)
  const found = known.find(([key]) => key === name)?.[1]
  if (!found) return { expected: `one of ${known.map(([key]) => key).join(', ')}`, got: name }
  const fits = Check(found as TSchema, value) && value !== Infinity && !Number.isNaN(value)
  return fits ? undefined : { expected: describeSetting(found), got: describeValue(value) }
}

/** `a whole number from 1 to 4096`, `pairwise or success` */
export function describeSetting(schema: SettingSchema): string {
  if (schema.enum) return schema.enum.join(' or ')
  if (schema.anyOf) return `${schema.anyOf[0].enum.join(', ')} or a number above 0`
  const kind = schema.type === 'integer' ? 'a whole number' : 'a number'
  const { minimum, maximum, exclusiveMinimum } = schema
  if (exclusiveMinimum !== undefined) {
    const most = maximum === undefined ? '' : `, at most ${maximum}`
    return `${kind} above ${exclusiveMinimum}${most}`
  }
  if (minimum === undefined) return kind
  return maximum === undefined
    ? `${kind} of at least ${minimum}`
    : `${kind} from ${minimum} to ${maximum}`
}
