import type { ScoreFile } from '../../rows/reader.ts'
import { definePreset, firstHas } from '../preset.ts'

/**
 * Langfuse: observations of the export to blob storage (`observations_v2/`, also the older `observations/`), or
 * of its API (`GET /api/public/v2/observations`), page by page or line by line. Scores lie in files of their
 * own, and are found by observation, else by trace.
 */
export const langfusePreset = definePreset({
  name: 'langfuse',
  mapping: {
    rows: 'data|$',
    fields: {
      prompt: 'input',
      model: 'provided_model_name|providedModelName|model',
      cost: 'total_cost|totalCost|calculatedTotalCost',
      tokens: 'usage_details.output|usageDetails.output',
      timestamp: 'start_time|startTime',
      category: 'trace_name|traceName|name',
      session: 'session_id|sessionId',
      user: 'user_id|userId',
      id: 'id',
    },
    where: { type: 'GENERATION' },
    except: { level: 'ERROR' },
    on: ['id', 'trace_id|traceId'],
  },
  recognises: (columns, [first]) => {
    const has = firstHas(columns, first?.data)
    const snake = has('provided_model_name', 'trace_id')
    return has('id', 'type', 'input') && (snake || has('usageDetails', 'traceId'))
  },
})

/** Langfuse's scores, exported to blob storage or from its API (`GET /api/public/v2/scores`). */
export const langfuseScores: ScoreFile = {
  name: 'langfuse-scores',
  mapping: {
    rows: 'data|$',
    fields: {
      key: 'observation_id|observationId|trace_id|traceId',
      name: 'name',
      // the value of a category is its index; its name may be a word such as correct
      score: 'string_value|stringValue|value',
    },
    except: { 'data_type|dataType': 'TEXT' },
  },
  recognises: (columns, [first]) => {
    const has = firstHas(columns, first?.data)
    const keyed = has('trace_id', 'data_type') || has('traceId', 'dataType')
    return has('id', 'name', 'value', 'source') && keyed
  },
}
