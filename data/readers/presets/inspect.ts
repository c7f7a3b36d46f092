import { definePreset } from '../preset.ts'

/**
 * Inspect (UK AISI): a log in JSON (`inspect eval --log-format json`, or converted from `.eval`). Several epochs
 * of a sample are several rows, whose scores the dataset averages.
 */
export const inspectPreset = definePreset({
  name: 'inspect',
  mapping: {
    rows: 'samples',
    fields: {
      prompt: 'input',
      model: '$.eval.model',
      score: 'scores.*.value',
      tokens: 'output.usage.output_tokens',
      category: '$.eval.task',
      timestamp: 'started_at|$.eval.created',
      id: 'uuid',
    },
    // CORRECT, INCORRECT, PARTIAL and NOANSWER, as `value_to_float` counts them
    values: { score: { C: 1, I: 0, P: 0.5, N: 0 } },
  },
  recognises: (columns, [first]) =>
    ['version', 'status', 'eval', 'samples'].every((name) => columns.has(name)) &&
    typeof (first?.eval as { model?: unknown } | undefined)?.model === 'string',
})
