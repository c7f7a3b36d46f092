import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { RawRecord } from '../../rows/reader.ts'
import { definePreset } from '../preset.ts'

/**
 * EleutherAI's lm-evaluation-harness, `--log_samples`: `samples_<task>_<date>.jsonl` (`evaluator.py` makes the
 * records, `evaluation_tracker.py` writes them), with `results_<date>.json` beside it, which names the model.
 */
export const lmEvalPreset = definePreset({
  name: 'lm-eval',
  mapping: {
    fields: {
      prompt: 'arguments.gen_args_0.arg_0|arguments[0][0]|doc.question|doc.query|doc.prompt',
      model: '@beside.model|@folder',
      score: 'metric_values.*first',
      category: '@beside.task',
      id: 'sample_id',
    },
    // a task with several filters writes every document once for each
    where: { filter: '@beside.filter' },
  },
  recognises: (columns) =>
    ['doc_id', 'doc', 'arguments', 'filtered_resps'].every((name) => columns.has(name)),
  expand: (record) => [
    { ...record, metric_values: metricValues(record), sample_id: sampleId(record) },
  ],
  async beside(path, [first]) {
    const [, task, date] =
      /^samples_(.+)_(\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl/.exec(basename(path)) ?? []
    return { task, filter: first?.filter, model: await modelName(dirname(path), date) }
  },
})

/** The values of the record's metrics that are numbers; what other metrics need is kept as a list. */
function metricValues(record: RawRecord): RawRecord {
  const names = Array.isArray(record.metrics) ? record.metrics : OLD_METRICS
  const values: Record<string, unknown> = {}
  for (const name of names) {
    const value = typeof name === 'string' ? record[name] : undefined
    if (typeof value === 'number' || typeof value === 'boolean') values[String(name)] = value
  }
  return values
}

/** Metrics of multiple choice and of generation, for versions that do not list them in `metrics`. */
const OLD_METRICS = [
  'acc',
  'acc_norm',
  'exact_match',
  'em',
  'f1',
  'pass@1',
  'prompt_level_strict_acc',
]

/** The three hashes by which the harness itself tells samples apart, and the filter. */
const sampleId = ({ doc_hash, prompt_hash, target_hash, filter }: RawRecord): string | undefined =>
  typeof doc_hash === 'string' ? [doc_hash, prompt_hash, target_hash, filter].join(' ') : undefined

/** From the run's `results_<date>.json`, or the only one of the folder. */
async function modelName(folder: string, date: string | undefined): Promise<string | undefined> {
  const names = (await readdir(folder).catch((): string[] => [])).filter((name) =>
    /^results_.*\.json$/.test(name),
  )
  const own = names.find((name) => date !== undefined && name.includes(date))
  const name = own ?? (names.length === 1 ? names[0] : undefined)
  if (name === undefined) return undefined
  try {
    const results: unknown = JSON.parse(await readFile(join(folder, name), 'utf8'))
    const { model_name } = results as { model_name?: unknown }
    return typeof model_name === 'string' && model_name !== '' ? model_name : undefined
  } catch {
    return undefined
  }
}
