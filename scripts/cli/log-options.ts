import Type from 'typebox'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import type { Dataset, PairOptions } from '../../data/dataset/dataset.ts'
import type { IngestOptions } from '../../data/ingest.ts'
import type { Mapping } from '../../data/rows/mapping.ts'
import type { Price } from '../../models/prices.ts'
import { type Flags, keyValue, optionTable, Share, Switch, Text, TextByName } from './options.ts'

const READING = 'Reading the logs'
const LABELS = 'Labels of the pair'

/** How much of the feedback may come from one API key. */
export const KEY_SHARE_OPTION = {
  flag: '--key-share <share>' as const,
  schema: Type.Number({ minimum: 0.01, maximum: 1 }),
  unset: '0.5',
  help: 'count at most this share of the feedback from one API key; 1 counts all',
}

/** The options of every command that reads logs directly. */
export const LOG_OPTIONS = optionTable({
  format: {
    flag: '--format <layout>',
    key: 'format',
    schema: Text,
    help: 'layout of the logs, such as canonical or arena',
    unset: 'recognised by its columns',
    section: READING,
  },
  map: {
    flag: '--map <ours=theirs,...>',
    key: 'map',
    schema: TextByName,
    help: 'where our fields stand in the logs, such as prompt=doc.question,model=@folder; or a YAML file of them',
    section: READING,
    separator: ',',
    check: (text: string): void => {
      if (!isMappingFile(text)) keyValue('--map', text)
    },
  },
  rows: {
    flag: '--rows <path>',
    key: 'rows',
    schema: Text,
    help: 'where the list of rows stands in a JSON document, such as results.results',
    section: READING,
  },
  where: {
    flag: '--where <path=value>',
    key: 'where',
    schema: TextByName,
    help: 'keep only rows with this value there, such as filter=strict-match; != leaves them out',
    section: READING,
  },
  scores: {
    flag: '--scores <file>',
    key: 'scores',
    schema: Text,
    help: 'file of scores that are joined with the rows of the logs, by --on',
    section: READING,
  },
  on: {
    flag: '--on <ours=theirs>',
    key: 'on',
    schema: Text,
    help: 'the field that rows and --scores share, such as trace_id, or id=trace_id where the names differ',
    section: READING,
  },
  scoreName: {
    flag: '--score-name <name>',
    key: 'score_name',
    schema: Text,
    help: 'the score to use where the logs hold several by name',
    section: READING,
  },
  modelsFrom: {
    flag: '--models-from <columns>',
    key: 'models_from',
    schema: Text,
    help: 'columns that are models, a,b,c, in a table with one column of scores per model',
    unset: 'found by their values',
    section: READING,
  },
  scoreRange: {
    flag: '--score-range <low-high>',
    key: 'score_range',
    schema: Text,
    help: 'range of the scores in the logs, such as 1-10 for a judge; they are rescaled to 0-1',
    section: READING,
  },
  context: {
    flag: '--context <keys>',
    key: 'context',
    schema: Text,
    help: 'columns (or keys of `metadata`) that say where a request is from, such as feature,tenant,tier or size:number; the router reads them, and requests name them in `metadata`',
    section: READING,
  },
  split: {
    flag: '--split <fractions>',
    key: 'split',
    schema: Text,
    help: 'fractions of train, validation, calibration and test, such as 0.7,0.1,0.1,0.1',
    section: READING,
  },
  groupBy: {
    flag: '--group-by <column>',
    key: 'group_by',
    schema: Text,
    help: 'keep rows with the same value in this column (a user, a conversation) in one split',
    section: READING,
  },
  testBy: {
    flag: '--test-by <what>',
    key: 'test_by',
    schema: Text,
    help: 'with category: test on categories that are kept out of training',
    section: READING,
  },
  testAfter: {
    flag: '--test-after <date>',
    key: 'test_after',
    schema: Text,
    help: 'test on prompts that were first asked on this date or later',
    section: READING,
  },
  maxRejects: {
    flag: '--max-rejects <share>',
    key: 'max_rejects',
    schema: Share,
    default: 0.01,
    help: 'stop when more than this share of the rows is refused',
    section: READING,
  },
  maxBytes: {
    flag: '--max-bytes <number>',
    key: 'max_bytes',
    schema: Type.Integer({ minimum: 1 }),
    unset: 'no limit, but what expands to over 200 times its size past 64 MiB is refused',
    help: 'refuse a log of more bytes than this, once decompressed',
    section: READING,
  },
  keyShare: { ...KEY_SHARE_OPTION, key: 'key_share', section: READING },
  rejects: {
    flag: '--rejects <file>',
    key: 'rejects',
    schema: Text,
    writes: 'file',
    help: 'file for the refused rows and the reasons',
    section: READING,
  },
})
export type LogFlags = Flags<typeof LOG_OPTIONS>

/** The options that determine which votes and scores label a pair. */
export const PAIR_OPTIONS = optionTable({
  judge: {
    flag: '--judge <name>',
    key: 'judge',
    schema: Text,
    help: 'use only votes whose judge’s name contains this, such as human',
    section: LABELS,
  },
  minVotes: {
    flag: '--min-votes <number>',
    key: 'min_votes',
    schema: Type.Number({ minimum: 0 }),
    help: 'use only prompts with at least this many votes',
    section: LABELS,
  },
  margin: {
    flag: '--margin <score>',
    key: 'margin',
    schema: Share,
    help: 'count scores closer than this as a tie, and others as a win',
    section: LABELS,
  },
})
export type PairFlags = Flags<typeof PAIR_OPTIONS>

/** `--seed`, with the given description. */
export const seedOption = <const Help extends string>(help: Help) => ({
  flag: '--seed <number>' as const,
  key: 'seed' as const,
  schema: Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1 }),
  default: 1,
  help,
})

/** `--json`, with a description of its output. */
export const jsonOption = <const What extends string>(what: What) => ({
  flag: '--json' as const,
  schema: Switch,
  help: `print ${what} as one JSON object`,
})

/** For commands of which only one may run at a time, on whatever machine. */
export const LOCK_OPTION = {
  flag: '--lock <address>' as const,
  schema: Text,
  help: 'postgres://...: hold the lock of this router there while it runs, so that one machine at a time decides; waits 10 s for another',
}

/** Holds the lock if there is one to hold. @param bundle its name is the lock's; @throws lock_timeout, store_unavailable */
export async function withRouterLock<T>(
  address: string | undefined,
  bundle: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (address === undefined) return work(signal)
  const { basename, resolve } = await import('node:path')
  const { WeirError } = await import('../../core/errors.ts')
  const { isPostgresUrl, withStoreLock } = await import('../../records/postgres.ts')
  if (!isPostgresUrl(address)) {
    const expected = 'the address of a database, postgres://...'
    throw new WeirError('option_invalid', { option: '--lock', expected, got: address })
  }
  const name = `rollout of ${basename(resolve(bundle))}`
  return withStoreLock(address, name, { deadlineMs: 10_000 }, (lost) =>
    work(AbortSignal.any([signal, lost])),
  )
}

/** Where labels of people are shared. */
export const labelStoreOption = {
  flag: '--store <address>',
  schema: Text,
  help: 'postgres://...: share labels with other copies of the collection’s folder; they are sent there and fetched from there',
} as const

/** The options of commands that read logs into splits, besides their specific ones. */
export const READ_OPTIONS = optionTable({ ...LOG_OPTIONS, seed: seedOption('seed of the splits') })
export type ReadFlags = Flags<typeof READ_OPTIONS>

export const PRICE_OPTION = {
  flag: '--price <model=in/out>' as const,
  key: 'prices' as const,
  schema: TextByName,
  help: 'price of a model in US dollars per million tokens, or a JSON file of prices',
  check: (text: string): void => {
    if (!text.endsWith('.json')) parsePrice('--price', text)
  },
}

export const METHOD_OPTION = {
  flag: '--method <name>' as const,
  schema: Text,
  help: 'name of the calibration method',
  unset: 'the one for the target',
}

/** Feedback that is not in the decision log itself. */
export const STORE_OPTION = {
  flag: '--store <where>' as const,
  schema: Text,
  help: 'where feedback on the log’s decisions is kept: postgres://... or a folder',
  unset: 'in the log',
}

export const ENDPOINT_OPTION = {
  flag: '--endpoint <url>' as const,
  schema: Text,
  help: 'address of the hub',
  unset: 'HF_ENDPOINT, else https://huggingface.co',
}

/**
 * The values of `--price`, in the order given: `model=in/out`, or a JSON file of prices. Later ones override.
 */
export async function priceOption(values: readonly string[]): Promise<Map<string, Price>> {
  const { expectPerMillion, readPrices } = await import('../../models/prices.ts')
  const prices = new Map<string, Price>()
  for (const value of values) {
    const isFile = value.endsWith('.json')
    const found = isFile ? await readPrices(value) : [parsePrice('--price', value)]
    if (!isFile) for (const [model, price] of found) expectPerMillion(model, price, '--price')
    for (const [model, price] of found) prices.set(model, price)
  }
  return prices
}

/**
 * Checks that every `--price` is of a known model; a file of prices may have more.
 *
 * @throws option_invalid
 */
export function assertPricedModels(values: readonly string[], models: readonly string[]): void {
  for (const value of values) {
    if (value.endsWith('.json')) continue
    const [model] = parsePrice('--price', value)
    if (models.includes(model)) continue
    const expected = `a price of a model of the log (${models.join(', ')})`
    throw new WeirError('option_invalid', { option: '--price', expected, got: model })
  }
}

/** `model=in/out`, US dollars per million tokens; model names may contain `/`; split at the last `=`. */
export function parsePrice(option: string, text: string): [string, Price] {
  const match = /^(.+)=([\d.]+)\/([\d.]+)$/.exec(text)
  const input = Number(match?.[2])
  const output = Number(match?.[3])
  if (!match || !Number.isFinite(input) || !Number.isFinite(output)) {
    const expected =
      'model=in/out in US dollars per million tokens, such as gpt-4o=2.5/10, or a .json file'
    throw new WeirError('option_invalid', { option, expected, got: text })
  }
  return [match[1]!, { input, output }]
}

/**
 * The dataset of a command's logs (one dataset folder, or files), read and labelled according to its flags.
 *
 * @param bundles without --context, the keys that these bundles read
 */
export async function openFlaggedLogs(
  paths: readonly string[],
  flags: LogFlags & PairFlags,
  options: Pick<IngestOptions, 'seed' | 'signal' | 'onProgress'>,
  bundles: readonly string[] = [],
): Promise<Dataset> {
  const { openDatasetOrLogs } = await import('../../data/ingest.ts')
  const labelled = pairOptions(flags)
  const reading = await readOptions({ ...flags, seed: options.seed })
  const { openTerminal } = await import('../terminal/terminal.ts')
  const onNote = openTerminal().note
  const { contextOfBundles } = await import('../../models/bundle/read.ts')
  const context = reading.context ?? (await contextOfBundles(bundles))
  const dataset = await openDatasetOrLogs(paths, {
    ...reading,
    ...(context.length > 0 && { context }),
    onNote,
    ...options,
  })
  return Object.keys(labelled).length > 0 ? { ...dataset, labelled } : dataset
}

/**
 * `--context`: keys of declared context, each with how it is read if its values do not say.
 *
 * @throws option_invalid
 */
export function contextOption(text: string | undefined): readonly string[] | undefined {
  if (text === undefined) return undefined
  const keys = text.split(',').map((key) => key.trim())
  const names = keys.map(contextName)
  const bad = keys.find(
    (key, i) => !/^[^\s,:=]{1,100}(:number|:category)?$/.test(key) || names.indexOf(names[i]!) < i,
  )
  if (bad === undefined) return keys
  const expected = 'names of columns, each once, such as feature,tier or size:number (or :category)'
  throw new WeirError('option_invalid', { option: '--context', expected, got: text })
}

const contextName = (key: string): string => key.replace(/:.*/, '')

/** The flags as options of `pairLabels`. */
export const pairOptions = ({ judge, minVotes, margin }: PairFlags): PairOptions =>
  definedOnly({ judge, minVotes, margin })

const isMappingFile = (text: string): boolean => /^[^=]+\.(ya?ml|json)$/i.test(text)

/** @throws file_not_found; config_invalid with file and line */
async function readMapping(path: string): Promise<Mapping> {
  const { Mapping } = await import('../../data/rows/mapping.ts')
  const { assertFits, readSource } = await import('./config-file.ts')
  const source = await readSource(path, 'a mapping')
  assertFits(Mapping, source.value, source)
  return source.value as Mapping
}

/** `--map`, `--rows`, `--where` and `--on` as one mapping; the flags win over the files of `--map`. */
async function mappingOption({
  map,
  rows,
  where,
  on,
}: ReadFlags): Promise<IngestOptions['mapping'] | undefined> {
  const files = await Promise.all(map.filter(isMappingFile).map(readMapping))
  const pairs = map.filter((text) => !isMappingFile(text)).map((text) => keyValue('--map', text))
  const keep = new Map<string, string[]>()
  const leave = new Map<string, string[]>()
  for (const text of where) {
    const [path, value] = keyValue('--where', text)
    const [into, name] = path.endsWith('!') ? [leave, path.slice(0, -1)] : [keep, path]
    into.set(name, [...(into.get(name) ?? []), value])
  }
  const flags = {
    fields: Object.fromEntries(pairs),
    ...(rows !== undefined && { rows }),
    ...(on !== undefined && { on: [on.split('=')[0]!] }),
    ...(keep.size > 0 && { where: Object.fromEntries(keep) }),
    ...(leave.size > 0 && { except: Object.fromEntries(leave) }),
  }
  const all = [...files, flags]
  if (all.every((one) => Object.keys(one).length === 1 && Object.keys(one.fields).length === 0)) {
    return undefined
  }
  return Object.assign({}, ...all, { fields: Object.assign({}, ...all.map((one) => one.fields)) })
}

/** The flags as options of `ingest`. Throws `option_invalid`. */
export async function readOptions(flags: ReadFlags): Promise<Omit<IngestOptions, 'out'>> {
  const { scoreRange, testBy, testAfter, split, scores, on, modelsFrom } = flags
  return definedOnly({
    seed: flags.seed,
    format: flags.format,
    mapping: await mappingOption(flags),
    scores: scores === undefined ? undefined : definedOnly({ path: scores, on }),
    scoreName: flags.scoreName,
    modelsFrom: modelsFrom?.split(',').map((name) => name.trim()),
    context: contextOption(flags.context)?.map(contextName),
    scoreRange: scoreRange === undefined ? undefined : readRange(scoreRange),
    groupBy: flags.groupBy,
    testBy: testBy === undefined ? undefined : readTestBy(testBy),
    testAfter: testAfter === undefined ? undefined : readTime(testAfter),
    fractions: split === undefined ? undefined : readFractions(split),
    maxRejects: flags.maxRejects,
    maxBytes: flags.maxBytes,
    keyShare: flags.keyShare,
    rejectsPath: flags.rejects,
  })
}

function invalid(option: string, expected: string, got: string): never {
  throw new WeirError('option_invalid', { option, expected, got })
}

function readRange(text: string): [number, number] {
  const match = /^(-?[\d.]+)-(-?[\d.]+)$/.exec(text)
  const low = Number(match?.[1])
  const high = Number(match?.[2])
  if (!(low < high)) return invalid('--score-range', 'low-high, such as 1-10', text)
  return [low, high]
}

function readTestBy(text: string): 'category' {
  return text === 'category' ? text : invalid('--test-by', 'category', text)
}

/** Seconds since 1970. */
function readTime(text: string): number {
  const date = Date.parse(text)
  return Number.isNaN(date)
    ? invalid('--test-after', 'a date such as 2026-01-31', text)
    : date / 1000
}

function readFractions(text: string): IngestOptions['fractions'] & object {
  const [train, validation, calibration, test, ...rest] = text.split(',').map(Number)
  const all = [train, validation, calibration, test]
  if (rest.length > 0 || !all.every((part) => part !== undefined && part >= 0)) {
    return invalid('--split', 'four fractions that add up to 1', text)
  }
  return { train: train!, validation: validation!, calibration: calibration!, test: test! }
}
