import { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import { WeirError } from '../../core/errors.ts'

/** A log to evaluate on, and the pair of its models that is routed between. */
export interface PairLog {
  readonly name: string
  readonly file: string
  readonly strong: string
  readonly weak: string
}

const GPT_4 = 'gpt-4-1106-preview'
const MIXTRAL = 'mistralai/Mixtral-8x7B-Instruct-v0.1'
export const MMLU = { name: 'mmlu', file: 'routellm-mmlu.csv.gz', strong: GPT_4, weak: MIXTRAL }
export const GSM8K = { name: 'gsm8k', file: 'routellm-gsm8k.csv.gz', strong: GPT_4, weak: MIXTRAL }
const SAMPLE: PairLog = {
  name: 'sample',
  file: 'outcomes.jsonl.gz',
  strong: 'big-1',
  weak: 'small-1',
}

const ROOT = join(import.meta.dirname, '../..')

/** The folder of downloaded logs: `WEIR_DATA`, else `../shared/data` next to the project. It may be missing. */
export function dataFolder(): string {
  return process.env.WEIR_DATA ?? join(ROOT, '../shared/data')
}

/**
 * The logs in the data folder, or the project's sample log if it has none; `note` is called with the folder
 * that is read.
 * @param only names of the logs to return; all of them if empty
 * @throws WeirError `option_invalid` for a name that is not found
 */
export function findLogs<T extends PairLog>(
  logs: readonly T[],
  only: readonly string[],
  note: (line: string) => void,
): { folder: string; logs: (T | PairLog)[] } {
  const folder = dataFolder()
  const real = logs.filter(({ file }) => existsSync(join(folder, file)))
  const known = (real.length > 0 ? real : [...logs, SAMPLE]).map(({ name }) => name)
  const unknown = only.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    throw new WeirError('option_invalid', {
      option: 'log',
      expected: `some of ${known.join(', ')} (in ${folder})`,
      got: unknown,
    })
  }
  if (real.length === 0) {
    note(`reading data/sample, because ${shownFolder(folder)} holds none of the logs`)
    return { folder: join(ROOT, 'data/sample'), logs: [SAMPLE] }
  }
  note(`reading ${shownFolder(folder)}`)
  return { folder, logs: real.filter(({ name }) => only.length === 0 || only.includes(name)) }
}

const shownFolder = (folder: string): string =>
  process.env.WEIR_DATA === undefined ? relative(ROOT, folder) : `${folder} (WEIR_DATA)`

/** The names in a comma-separated list. */
export const list = (text: string): string[] => text.split(',').filter(Boolean)
