/** `T` without `undefined` as a value: properties that may be undefined become optional. */
export type Defined<T> = {
  [K in keyof T as undefined extends T[K] ? never : K]: T[K]
} & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

/**
 * A copy of the object without the properties whose value is undefined, in the same order. An object for JSON
 * or for a type with optional properties can then be written as one literal:
 * `definedOnly({ id, note })` instead of `{ id, ...(note === undefined ? {} : { note }) }`.
 */
export function definedOnly<T extends object>(value: T): Defined<T> {
  const kept: Record<string, unknown> = {}
  for (const [key, each] of Object.entries(value)) if (each !== undefined) kept[key] = each
  return kept as Defined<T>
}
