import { isRecord } from '../../rows/record.ts'
import { definePreset } from '../preset.ts'
import { readComparison } from './preference-pairs.ts'

const isOutputItem = (value: unknown): boolean =>
  isRecord(value) && value.object === 'eval.run.output_item'

/** OpenAI's evals: `GET /evals/{id}/runs/{id}/output_items`, page by page or one item per line. */
export const openaiEvalsPreset = definePreset({
  name: 'openai-evals',
  mapping: {
    rows: 'data|$',
    fields: {
      prompt: 'sample.input',
      model: 'sample.model',
      score: 'results.*.score|results.*.passed',
      tokens: 'sample.usage.completion_tokens',
      timestamp: 'created_at',
      id: 'id',
    },
    except: { status: 'error' },
  },
  recognises: (_columns, [first]) =>
    isOutputItem(first) || (Array.isArray(first?.data) && isOutputItem(first.data[0])),
})

/**
 * OpenAI's file for direct preference optimization. It does not say which models gave the two outputs: `--map
 * "model_a='preferred',model_b='other'"` does.
 */
export const openaiPreferencePreset = definePreset({
  name: 'openai-dpo',
  mapping: { fields: { prompt: 'input.messages', winner: "'a'" } },
  recognises: (columns) =>
    ['input', 'preferred_output', 'non_preferred_output'].every((name) => columns.has(name)),
  read: readComparison,
})
