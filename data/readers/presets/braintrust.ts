import type { RawRecord } from '../../rows/reader.ts'
import { isRecord } from '../../rows/record.ts'
import { definePreset, firstHas } from '../preset.ts'

/**
 * Braintrust: spans of an experiment or of a project's logs (`ExperimentEvent`), as its API gives them
 * (`/v1/experiment/{id}/fetch`) or one per line. Scores stand on a trace's first span, the model on that of its
 * call. They are found together within an answer of the API; in lines, say the model (`--map model=@file`).
 */
export const braintrustPreset = definePreset({
  name: 'braintrust',
  mapping: {
    fields: {
      prompt: 'input',
      model: 'metadata.model|called_model',
      score: 'scores.*',
      cost: 'metrics.estimated_cost|called_metrics.estimated_cost',
      tokens: 'metrics.completion_tokens|called_metrics.completion_tokens',
      timestamp: 'created',
      id: 'id',
    },
  },
  recognises: (columns, [first]) =>
    firstHas(columns, first?.events)('id', 'span_id', 'root_span_id', 'input', 'scores'),
  expand: (record) =>
    Array.isArray(record.events) ? withCalls(record.events.filter(isRecord)) : [record],
})

/** The spans, each with the model that was called in its trace, if it was one only. */
function withCalls(events: readonly RawRecord[]): readonly RawRecord[] {
  const calls = new Map<unknown, RawRecord[]>()
  for (const event of events) {
    if (!isRecord(event.metadata) || typeof event.metadata.model !== 'string') continue
    const before = calls.get(event.root_span_id)
    if (before) before.push(event)
    else calls.set(event.root_span_id, [event])
  }
  return events.map((event) => {
    const made = calls.get(event.root_span_id) ?? []
    const models = new Set(made.map(({ metadata }) => (metadata as RawRecord).model))
    if (models.size !== 1) return event
    const called_metrics = made.length === 1 ? made[0]!.metrics : undefined
    return { ...event, called_model: [...models][0], called_metrics }
  })
}
