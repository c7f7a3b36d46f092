import type { LeftOut, LogRow, RawRecord, Reject, RowOrigin } from '../../rows/reader.ts'
import { isRecord } from '../../rows/record.ts'
import { readPreference } from '../canonical.ts'
import { promptOf } from '../long.ts'
import { definePreset } from '../preset.ts'

/** A comparison whose models may not be named, or may be one model twice: nothing that a router learns from. */
export function readComparison(record: RawRecord, origin: RowOrigin): LogRow | Reject | LeftOut {
  const { model_a, model_b } = record
  const named = [model_a, model_b].every((model) => typeof model === 'string' && model !== '')
  if (!named) return { kind: 'left_out', reason: 'no models named' }
  if (model_a === model_b) return { kind: 'left_out', reason: 'both answers of one model' }
  return readPreference({ ...record, prompt: promptOf(record.prompt) }, origin)
}

/**
 * Preference sets of Hugging Face with a chosen and a rejected answer, where they say whose those are:
 * `chosen_model` and `rejected_model` (allenai/reward-bench, distilabel), or `chosen-model` and
 * `rejected-model` (Argilla). The prompt is a column, or what stands before the chosen answer.
 */
export const preferencePairsPreset = definePreset({
  name: 'chosen-rejected',
  mapping: {
    fields: {
      prompt: 'prompt|instruction|question|asked',
      model_a: 'chosen_model|chosen-model',
      model_b: 'rejected_model|rejected-model',
      winner: "'a'",
      category: 'subset|source',
    },
  },
  recognises: (columns) =>
    columns.has('chosen') && columns.has('rejected') && !columns.has('winner'),
  expand: (record) => [{ ...record, asked: askedBefore(record.chosen) }],
  read: readComparison,
})

/** The conversation before the answer; in text, as Anthropic's hh-rlhf has it, before its last `Assistant:`. */
function askedBefore(chosen: unknown): unknown {
  if (typeof chosen !== 'string') return promptOf(chosen)
  const end = chosen.lastIndexOf('\n\nAssistant:')
  const text = end < 0 ? undefined : chosen.slice(0, end).trim()
  const turns = text?.split(/\n\n(?=Human:|Assistant:)/) ?? []
  return turns.length === 1 ? turns[0]!.replace(/^Human:\s*/, '') : text
}

/** UltraFeedback (openbmb): answers of several models to one instruction, with a score from 1 to 10 each. */
export const ultraFeedbackPreset = definePreset({
  name: 'ultrafeedback',
  mapping: { fields: { prompt: 'instruction', scores: 'scores_by_model', category: 'source' } },
  scoreRange: [1, 10],
  recognises: (columns, [first]) =>
    columns.has('instruction') &&
    Array.isArray(first?.completions) &&
    first.completions.every((one) => isRecord(one) && 'model' in one && 'overall_score' in one),
  expand: (record) => [{ ...record, scores_by_model: scoresOf(record.completions) }],
})

function scoresOf(completions: unknown): RawRecord | undefined {
  if (!Array.isArray(completions)) return undefined
  const scored = completions.filter(
    (one) =>
      isRecord(one) && typeof one.model === 'string' && typeof one.overall_score === 'number',
  )
  if (scored.length === 0) return undefined
  return Object.fromEntries(scored.map(({ model, overall_score }) => [model, overall_score]))
}
