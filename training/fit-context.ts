import {
  type ContextField,
  createContextEncoder,
  fieldsOf,
  valueHash,
} from '../models/encoders/context.ts'
import type { EncoderArtifact } from '../models/encoders/encoder.ts'
import { CONVERSATION_FEATURES } from '../models/reading/conversation.ts'
import type { Recipe } from '../models/reading/recipe.ts'

export interface ContextOptions {
  /** a value must stand in this many train rows; rarer ones count as unseen */
  readonly minRows: number
  /** the most values of one key, the most frequent first */
  readonly maxValues: number
  /** of a declared value's column, beside words of unit length: how freely it moves the win rate */
  readonly categoryWeight: number
  /** of the products of a declared value and the text's plain features, where the recipe reads interactions */
  readonly crossedWeight: number
  /** standard deviation that numbers are scaled to */
  readonly numberWeight: number
}

/** Compared by 5-fold cross-validation on bfcl, where .25 to 2 gave an APGR of .776 to .781 (docs/reading.md). */
export const CONTEXT_DEFAULTS: ContextOptions = {
  minRows: 5,
  maxValues: 2000,
  categoryWeight: 0.5,
  crossedWeight: 1,
  numberWeight: 0.1,
}

/** A key whose values all read as numbers is a number if it has more different ones than this. */
const MOST_NUMBER_CATEGORIES = 20
/** Share of the train rows below and above the range that a served number is held to. */
const OUTSIDE = 0.005

/**
 * The encoder with columns for the fields of the train readings: one per value of a category, one per number, and
 * with the recipe's interactions also one per value and plain feature of the text.
 *
 * @param readings the train prompts as the recipe reads them
 */
export function fitContext(
  inner: EncoderArtifact,
  readings: readonly string[],
  { context = [], features, interactions }: Recipe,
  given: Partial<ContextOptions> = {},
): EncoderArtifact {
  const options = { ...CONTEXT_DEFAULTS, ...given }
  const rows = readings.map(fieldsOf)
  const declared = context.map((key, column): ContextField => {
    const [name = '', as] = key.split(':')
    const values = rows.map((row) => row[column] ?? '').filter((value) => value !== '')
    return as === 'number' || (as === undefined && readAsNumbers(values))
      ? numberField(name, values.map(Number), options)
      : {
          ...categoryField(name, values, options),
          ...(interactions && { crossed: options.crossedWeight }),
        }
  })
  const spoken = features ? CONVERSATION_FEATURES : []
  const conversation = spoken.map((name, i) =>
    numberField(
      name,
      rows.map((row) => Number(row[context.length + i])),
      options,
    ),
  )
  return createContextEncoder(inner, [...declared, ...conversation])
}

function readAsNumbers(values: readonly string[]): boolean {
  const different = new Set(values)
  return (
    different.size > MOST_NUMBER_CATEGORIES &&
    [...different].every((value) => value.trim() !== '' && Number.isFinite(Number(value)))
  )
}

function numberField(
  name: string,
  given: readonly number[],
  { numberWeight }: ContextOptions,
): ContextField {
  const values = given.filter(Number.isFinite).sort((a, b) => a - b)
  const n = values.length
  if (n === 0) return { kind: 'number', name, mean: 0, scale: 0, low: 0, high: 0 }
  const low = values[Math.floor(OUTSIDE * (n - 1))]!
  const high = values[Math.ceil((1 - OUTSIDE) * (n - 1))]!
  let sum = 0
  let squares = 0
  for (const value of values) {
    const x = Math.min(Math.max(value, low), high) - low
    sum += x
    squares += x * x
  }
  const variance = squares / n - (sum / n) ** 2
  return {
    kind: 'number',
    name,
    mean: low + sum / n,
    scale: variance > 1e-9 * (1 + low * low) ? numberWeight / Math.sqrt(variance) : 0,
    low,
    high,
  }
}

function categoryField(
  name: string,
  values: readonly string[],
  { minRows, maxValues, categoryWeight: weight }: ContextOptions,
): ContextField {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  const kept = [...counts]
    .filter(([, count]) => count >= minRows)
    .sort(([a, most], [b, least]) => least - most || (a < b ? -1 : 1))
    .slice(0, maxValues)
  return {
    kind: 'category',
    name,
    weight,
    values: kept.map(([value]) => valueHash(name, value)).sort(),
  }
}
