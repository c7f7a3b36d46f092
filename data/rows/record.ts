/** One record of a file before its layout is known: column name to value. */
export type RawRecord = Readonly<Record<string, unknown>>

/** Whether a value is an object with fields, and not a list. */
export const isRecord = (value: unknown): value is RawRecord =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
