import { amountCell, scoreCell } from '../rows/cell.ts'
import type { Reader } from '../rows/reader.ts'
import { parsed } from './arena.ts'
import { readBase, reject } from './canonical.ts'

const COST = '|total_cost'
const RESPONSE = '|model_response'

/** RouterBench's wide table: per model a score, `<model>|total_cost` and `<model>|model_response`. */
export const routerBenchReader: Reader = {
  name: 'router-bench',
  required: ['prompt'],
  recognises: (columns) => columns.has('prompt') && modelsOf(columns).length > 0,
  columns: (columns) => [...columns].filter((column) => !column.endsWith(RESPONSE)),
  open(columns, _sample, { scoreRange }) {
    const models = modelsOf(columns)
    return (record, origin) => {
      const base = readBase(
        {
          prompt: onlyText(record.prompt),
          id: record.sample_id ?? record.id,
          category: record.eval_name ?? record.category,
        },
        origin,
      )
      if ('kind' in base) return base
      const scores = new Map<string, number>()
      const costs = new Map<string, number>()
      for (const model of models) {
        const score = scoreCell(record[model], scoreRange)
        if ('reason' in score) return reject(origin, model, score.reason)
        const cost = amountCell(record[`${model}${COST}`])
        if ('reason' in cost) return reject(origin, `${model}${COST}`, cost.reason)
        if (score.value === undefined) continue
        scores.set(model, score.value)
        if (cost.value !== undefined) costs.set(model, cost.value)
      }
      if (scores.size === 0) return reject(origin, models[0]!, 'no model has a score')
      return { kind: 'outcome', ...base, scores, ...(costs.size > 0 && { costs }) }
    }
  },
}

function modelsOf(columns: ReadonlySet<string>): string[] {
  return [...columns]
    .filter((column) => column.endsWith(COST))
    .map((column) => column.slice(0, -COST.length))
    .filter((model) => columns.has(model))
}

/** The table stores each prompt as a list with one text, in written form. */
function onlyText(value: unknown): unknown {
  if (typeof value !== 'string' || !value.startsWith('[')) return value
  const list = parsed(value)
  return Array.isArray(list) && list.length === 1 && typeof list[0] === 'string' ? list[0] : value
}
