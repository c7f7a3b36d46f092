import { shown } from '../rows/cell.ts'
import type { Reader } from '../rows/reader.ts'
import { readPreference, reject } from './canonical.ts'

const REQUIRED = ['instruction', 'generator_1', 'generator_2', 'preference']

/**
 * AlpacaEval annotations: `preference` runs from 1 (the first answer is better) to 2 (the second is better);
 * 1.5 is a tie. Weighted annotators give numbers in between, which count for the nearer side.
 */
export const alpacaEvalReader: Reader = {
  name: 'alpaca-eval',
  required: REQUIRED,
  recognises: (columns) => REQUIRED.every((column) => columns.has(column)),
  columns: (columns) => [...REQUIRED, 'annotator', 'dataset'].filter((name) => columns.has(name)),
  open: () => (record, origin) => {
    const value = record.preference
    const preference = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
    if (typeof preference !== 'number' || !(preference >= 1 && preference <= 2)) {
      const reason = `expected a number from 1 to 2, got ${shown(value)}`
      return reject(origin, 'preference', reason)
    }
    const row = readPreference(
      {
        prompt: record.instruction,
        model_a: record.generator_1,
        model_b: record.generator_2,
        winner: preference < 1.5 ? 'a' : preference > 1.5 ? 'b' : 'tie',
        judge: record.annotator,
        category: record.dataset,
      },
      origin,
    )
    return row.kind === 'reject' ? { ...row, field: NAMES[row.field] ?? row.field } : row
  },
}

const NAMES: Readonly<Record<string, string>> = {
  prompt: 'instruction',
  model_a: 'generator_1',
  model_b: 'generator_2',
}
