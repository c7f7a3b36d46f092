import { parsedText } from '../../rows/expression.ts'
import type { ScoreFile } from '../../rows/reader.ts'
import { isRecord } from '../../rows/record.ts'
import { definePreset } from '../preset.ts'

/**
 * TensorZero: its tables `ChatInference` and `JsonInference`, exported from ClickHouse. A model is a variant
 * of the function. Scores are rows of its feedback tables, for the inference or its episode.
 */
export const tensorZeroPreset = definePreset({
  name: 'tensorzero',
  mapping: {
    fields: {
      prompt: 'asked',
      model: 'variant_name',
      category: 'function_name',
      timestamp: 'timestamp',
      session: 'episode_id',
      id: 'id',
    },
    on: ['id', 'episode_id'],
  },
  recognises: (columns) =>
    ['function_name', 'variant_name', 'episode_id', 'input'].every((name) => columns.has(name)),
  expand: (record) => [{ ...record, asked: conversation(record.input) }],
})

/** `BooleanMetricFeedback` and `FloatMetricFeedback`. */
export const tensorZeroFeedback: ScoreFile = {
  name: 'tensorzero-feedback',
  mapping: { fields: { key: 'target_id', name: 'metric_name', score: 'value' } },
  recognises: (columns) => ['target_id', 'metric_name', 'value'].every((name) => columns.has(name)),
}

/** `{system, messages: [{role, content: [block]}]}`, also as text, as messages. */
function conversation(input: unknown): unknown {
  const value = typeof input === 'string' ? parsedText(input) : input
  if (!isRecord(value) || !Array.isArray(value.messages)) return input
  const messages = value.messages
    .filter(isRecord)
    .map(({ role, content }) => ({ role, content: textOf(content) }))
  const { system } = value
  if (system === undefined || system === null) return messages
  return [{ role: 'system', content: textOf(system) }, ...messages]
}

/** Content is text, arguments of a template, or blocks of either. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return JSON.stringify(content ?? '')
  const texts = content.map((block) => {
    if (!isRecord(block)) return String(block)
    if (block.type === 'text' || block.type === 'template') {
      const held = block.text ?? block.value ?? block.arguments
      return typeof held === 'string' ? held : JSON.stringify(held ?? '')
    }
    return typeof block.result === 'string' ? block.result : ''
  })
  return texts.filter((text) => text !== '').join('\n')
}
