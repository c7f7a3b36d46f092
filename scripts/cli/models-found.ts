import type { ModelRows } from '../../data/dataset/builder.ts'
import type { ModelSummary } from '../../data/inspect/inspect.ts'
import { count, score, table } from '../terminal/terminal.ts'

const MODELS_SHOWN = 20

/** The models of a log with their rows and means, as a table: whoever reads it sees what was taken for one. */
export function modelsFound(models: readonly ModelRows[]): string {
  const scored = models.some((model) => model.scored > 0)
  const voted = models.some((model) => model.votes > 0)
  const or = (value: number | null): string => (value === null ? '' : score(value))
  const shown = models.slice(0, MODELS_SHOWN)
  const rows = [
    ['model', ...(scored ? ['rows', 'mean score'] : []), ...(voted ? ['votes', 'won'] : [])],
    ...shown.map((model) => [
      model.model,
      ...(scored ? [count(model.scored), or(model.score)] : []),
      ...(voted ? [count(model.votes), or(model.won)] : []),
    ]),
  ]
  const more = models.length - shown.length
  return `${table(rows)}${more > 0 ? `\n... and ${count(more)} more` : ''}`
}

/** The same figures from an opened dataset. */
export const modelRowsOf = (models: readonly ModelSummary[]): ModelRows[] =>
  models.map(({ model, scored, score, votes, wins, ties }) => ({
    model,
    scored,
    score,
    votes,
    won: votes > 0 ? (wins + ties / 2) / votes : null,
  }))
