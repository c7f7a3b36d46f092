import { scoreCell, scoreNumber } from '../rows/cell.ts'
import type { RawRecord, Reader } from '../rows/reader.ts'
import { readBase, reject } from './canonical.ts'

/** Columns of outcome tables that describe the row and are never a model's score. */
const ABOUT_THE_ROW = new Set([
  ...['prompt', 'category', 'id', 'timestamp', 'source', 'index', 'turn', ''],
  ...['sample_id', 'question_id', 'Unnamed: 0', '__index_level_0__'],
])

/** RouteLLM's outcome tables: a prompt and one column per model, with True, False or a number in [0, 1]. */
export const wideReader: Reader = {
  name: 'routellm',
  required: ['prompt'],
  recognises: (columns, sample) =>
    columns.has('prompt') && modelColumns(columns, sample).length > 0,
  columns: (columns) => [...columns].filter((column) => column !== 'source'),
  open(columns, sample, { scoreRange }) {
    const models = modelColumns(columns, sample)
    return (record, origin) => {
      const base = readBase(record, origin)
      if ('kind' in base) return base
      const scores = new Map<string, number>()
      for (const model of models) {
        const score = scoreCell(record[model], scoreRange)
        if ('reason' in score) return reject(origin, model, score.reason)
        if (score.value !== undefined) scores.set(model, score.value)
      }
      if (scores.size === 0) return reject(origin, models[0] ?? 'scores', 'no model has a score')
      return { kind: 'outcome', ...base, scores }
    }
  },
}

/**
 * Columns in which most filled cells read as a score, so that one bad cell in the sample does not hide a
 * model.
 */
function modelColumns(columns: ReadonlySet<string>, sample: readonly RawRecord[]): string[] {
  return [...columns].filter((column) => {
    if (ABOUT_THE_ROW.has(column)) return false
    const filled = sample
      .map((record) => record[column])
      .filter((cell) => cell !== '' && cell != null)
    const scores = filled.filter((cell) => scoreNumber(cell) !== undefined)
    return scores.length * 2 > filled.length
  })
}
