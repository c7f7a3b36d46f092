import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { WeirError } from '../../../core/errors.ts'
import type { RawRecord } from '../../rows/reader.ts'
import { isRecord } from '../../rows/record.ts'
import { definePreset } from '../preset.ts'

/**
 * HELM (Stanford): a run's `scenario_state.json`, whose instances get their scores from
 * `per_instance_stats.json` in the same folder. Without `--score-name`, the score is the first of
 * `MAIN_METRICS` that the run has.
 */
export const helmPreset = definePreset({
  name: 'helm',
  mapping: {
    fields: {
      prompt: 'instance.input.text|request.prompt',
      model: 'request.model|adapter_spec.model',
      score: 'stats.*first',
      tokens: 'stats.num_output_tokens|stats.num_completion_tokens',
      category: '@beside.scenario',
    },
    // of an instance with one request per reference, the first stands for all
    except: { repeated: true },
  },
  recognises: (columns, [first]) =>
    columns.has('adapter_spec') && Array.isArray(first?.request_states),
  expandsList: 'request_states',
  expand: (record, { stats }) => instances(record, isRecord(stats) ? stats : {}),
  async beside(path) {
    const folder = dirname(path)
    const list = await json(join(folder, 'per_instance_stats.json'))
    const spec = await json(join(folder, 'run_spec.json'))
    const name = isRecord(spec) && typeof spec.name === 'string' ? spec.name : undefined
    return { stats: statsOf(Array.isArray(list) ? list : []), scenario: name?.split(':')[0] }
  },
})

/** Metrics between 0 and 1 that HELM's leaderboards show first (`main_name` of its schemas). */
const MAIN_METRICS = [
  ...['quasi_exact_match', 'exact_match', 'quasi_prefix_exact_match', 'prefix_exact_match'],
  ...['chain_of_thought_correctness', 'math_equiv_chain_of_thought', 'math_equiv'],
  ...['final_number_exact_match', 'equivalent_under_sympy', 'f1_score', 'ifeval_strict_accuracy'],
  ...['wildbench_score_rescaled', 'omni_math_accuracy', 'rouge_l', 'bleu_4', 'pass'],
]

/** @throws file_unreadable if the file is there and is no JSON: its scores would be missed without a word */
async function json(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined
    throw new WeirError('file_unreadable', { path, reason: cause.message }, { cause })
  })
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch (cause) {
    throw new WeirError('file_unreadable', { path, reason: (cause as Error).message }, { cause })
  }
}

const keyOf = (id: unknown, perturbation: unknown, trial: unknown): string => {
  const name = isRecord(perturbation) ? perturbation.name : perturbation
  return [id, name ?? '', trial ?? 0].join('\n')
}

/** Mean values by name, the main metric first, by instance, perturbation and trial. */
function statsOf(list: readonly unknown[]): RawRecord {
  const found: Record<string, RawRecord> = {}
  for (const one of list) {
    if (!isRecord(one) || !Array.isArray(one.stats)) continue
    const values = new Map<string, unknown>()
    for (const stat of one.stats) {
      if (isRecord(stat) && isRecord(stat.name) && typeof stat.mean === 'number') {
        values.set(String(stat.name.name), stat.mean)
      }
    }
    const main = MAIN_METRICS.filter((name) => values.has(name))
    // the first is taken for the score, and no other metric is one without being named
    const order = main.length > 0 ? [...main, ...values.keys()] : ['(main)', ...values.keys()]
    const key = keyOf(one.instance_id, one.perturbation, one.train_trial_index)
    found[key] = Object.fromEntries(order.map((name) => [name, values.get(name)]))
  }
  return found
}

function instances(record: RawRecord, stats: RawRecord): readonly RawRecord[] {
  const seen = new Set<string>()
  const states = Array.isArray(record.request_states) ? record.request_states.filter(isRecord) : []
  return states.map((state) => {
    const instance = isRecord(state.instance) ? state.instance : {}
    const key = keyOf(instance.id, instance.perturbation, state.train_trial_index)
    const later = typeof state.reference_index === 'number' && state.reference_index > 0
    const repeated = later || state.request_mode === 'calibration' || seen.has(key)
    seen.add(key)
    return { ...state, adapter_spec: record.adapter_spec, stats: stats[key], repeated }
  })
}
