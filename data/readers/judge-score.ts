import { scoreNumber, shown } from '../rows/cell.ts'
import type { Reader } from '../rows/reader.ts'
import { readPreference, reject } from './canonical.ts'

const REFERENCE = 'gpt-4-1106-preview'
const RATED = 'mistralai/Mixtral-8x7B-Instruct-v0.1'
/** Ong et al. 2024: at 4 or more the rated answer is as good as the reference. */
const AS_GOOD = 4

/**
 * RouteLLM's GPT-4-judge battles: the judge rates Mixtral's answer from 1 to 5 against GPT-4's. 4 or more is
 * a tie, below that GPT-4 wins: a weak label from the judge's margin.
 */
export const judgeScoreReader: Reader = {
  name: 'routellm-judge',
  required: ['prompt', 'mixtral_score'],
  recognises: (columns) => columns.has('prompt') && columns.has('mixtral_score'),
  columns: (columns) =>
    ['prompt', 'mixtral_score', 'source', 'id'].filter((name) => columns.has(name)),
  open: () => (record, origin) => {
    const score = scoreNumber(record.mixtral_score)
    if (score === undefined || !(score >= 1 && score <= 5)) {
      const reason = `expected a rating from 1 to 5, got ${shown(record.mixtral_score)}`
      return reject(origin, 'mixtral_score', reason)
    }
    return readPreference(
      {
        prompt: record.prompt,
        model_a: REFERENCE,
        model_b: RATED,
        winner: score >= AS_GOOD ? 'tie' : 'a',
        judge: 'gpt-4',
        category: record.source,
        id: record.id,
      },
      origin,
    )
  },
}
