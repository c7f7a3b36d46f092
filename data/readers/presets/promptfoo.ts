import { isRecord } from '../../rows/record.ts'
import { definePreset } from '../preset.ts'

const isResult = (value: unknown): boolean =>
  isRecord(value) && 'promptIdx' in value && 'testIdx' in value && 'provider' in value

const holdsResults = (value: unknown): boolean => Array.isArray(value) && isResult(value[0])

/**
 * promptfoo: the file of `-o results.json` (`OutputFile`), what `promptfoo.evaluate()` returns
 * (`EvaluateSummaryV3`), or `-o results.jsonl` with one `EvaluateResult` per line.
 */
export const promptfooPreset = definePreset({
  name: 'promptfoo',
  mapping: {
    rows: 'results.results|results|$',
    fields: {
      prompt: 'prompt.raw',
      model: 'provider.label|provider.id|provider',
      score: 'score|success',
      cost: 'cost|response.cost',
      tokens: 'response.tokenUsage.completion',
      timestamp: '$.results.timestamp|$.timestamp',
      id: 'id',
    },
    // ResultFailureReason.ERROR: the provider gave no answer
    except: { failureReason: 2 },
  },
  recognises: (_columns, [first]) =>
    isResult(first) ||
    holdsResults(first?.results) ||
    (isRecord(first?.results) && holdsResults(first.results.results)),
})
