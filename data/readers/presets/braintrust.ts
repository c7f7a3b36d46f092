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
  expandsList: 'events',
  gather: noteCall,
  expand: (record) =>
    Array.isArray(record.events)
      ? withCalls(record.events.filter(isRecord), record.gathered)
      : [record],
})

interface Calls extends RawRecord {
  readonly count: number
  /** undefined if different models were called */
  readonly model: unknown
  readonly metrics: unknown
}

/** Notes the call of a model by its trace. */
function noteCall(
  calls: Map<string, RawRecord>,
  { root_span_id, metadata, metrics }: RawRecord,
): void {
  if (!isRecord(metadata) || typeof metadata.model !== 'string') return
  const trace = String(root_span_id)
  const before = calls.get(trace) as Calls | undefined
  const made: Calls = before
    ? {
        count: before.count + 1,
        model: before.model === metadata.model ? before.model : undefined,
        metrics: undefined,
      }
    : { count: 1, model: metadata.model, metrics: costOf(metrics) }
  calls.set(trace, made)
}

const costOf = (metrics: unknown): RawRecord => {
  const { estimated_cost, completion_tokens } = isRecord(metrics) ? metrics : {}
  return { estimated_cost, completion_tokens }
}

/** The spans, each with the model that was called in its trace, if it was one only. */
function withCalls(events: readonly RawRecord[], gathered: unknown): readonly RawRecord[] {
  const calls = gathered instanceof Map ? (gathered as Map<string, RawRecord>) : new Map()
  if (calls !== gathered) for (const event of events) noteCall(calls, event)
  return events.map((event) => {
    const made = calls.get(String(event.root_span_id)) as Calls | undefined
    if (made?.model === undefined) return event
    return { ...event, called_model: made.model, called_metrics: made.metrics }
  })
}
