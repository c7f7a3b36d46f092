import type { Command } from 'commander'
import { WeirError } from '../../core/errors.ts'
import type { PairOptions } from '../../data/dataset/dataset.ts'
import type { IngestOptions } from '../../data/ingest.ts'
import { keyValue } from './key-value.ts'
import { numberOption } from './options.ts'

/** Options of every command that reads logs as they are, beside its own `--seed`. */
export interface LogFlags {
  readonly format?: string
  readonly map: readonly string[]
  readonly scoreRange?: string
  readonly groupBy?: string
  readonly testBy?: string
  readonly testAfter?: string
  readonly split?: string
  readonly maxRejects?: string
  readonly rejects?: string
}

export interface ReadFlags extends LogFlags {
  readonly seed: string
}

/** Which votes and scores label a pair. */
export interface PairFlags {
  readonly judge?: string
  readonly minVotes?: string
  readonly margin?: string
}

const collect = (value: string, previous: readonly string[]): string[] => [
  ...previous,
  ...value.split(','),
]

export function addReadFlags(command: Command): Command {
  return addLogFlags(command).option('--seed <number>', 'seed of the splits', '1')
}

export function addPairFlags(command: Command): Command {
  return command
    .option('--judge <name>', 'only votes of judges with this in their name, such as human')
    .option('--min-votes <number>', 'only prompts with as many votes')
    .option('--margin <score>', 'take closer scores for a tie and others for a win')
}

export function addLogFlags(command: Command): Command {
  return command
    .option('--format <layout>', 'the logs’ layout, instead of recognising it')
    .option('--map <ours=theirs,...>', 'columns with other names: prompt=question', collect, [])
    .option('--score-range <low-high>', 'rescale scores, such as a judge’s 1-10')
    .option('--split <fractions>', 'train,validation,calibration,test, such as 0.7,0.1,0.1,0.1')
    .option('--group-by <column>', 'keep rows with one value (a user, a conversation) in one split')
    .option('--test-by <what>', 'test on categories that training never sees: category')
    .option('--test-after <date>', 'test on prompts first asked then or later')
    .option('--max-rejects <share>', 'stop when more of the rows are bad', '0.01')
    .option('--rejects <file>', 'where refused rows go')
}

/** The flags as `pairLabels` takes them. Throws `option_invalid`. */
export function pairOptions(flags: PairFlags): PairOptions {
  const minVotes = numberOption('--min-votes', flags.minVotes, { min: 0 })
  const margin = numberOption('--margin', flags.margin, { min: 0, max: 1 })
  return {
    ...(flags.judge !== undefined && { judge: flags.judge }),
    ...(minVotes !== undefined && { minVotes }),
    ...(margin !== undefined && { margin }),
  }
}

/** The flags as `ingest` takes them. Throws `option_invalid`. */
export function readOptions(flags: ReadFlags): Omit<IngestOptions, 'out'> {
  const maxRejects = numberOption('--max-rejects', flags.maxRejects, { min: 0, max: 1 })
  return {
    seed: numberOption('--seed', flags.seed, { min: 0, max: 2 ** 32 - 1, integer: true })!,
    ...(flags.format !== undefined && { format: flags.format }),
    ...(flags.map.length > 0 && { map: new Map(flags.map.map((pair) => keyValue('--map', pair))) }),
    ...(flags.scoreRange !== undefined && { scoreRange: scoreRange(flags.scoreRange) }),
    ...(flags.groupBy !== undefined && { groupBy: flags.groupBy }),
    ...(flags.testBy !== undefined && { testBy: testBy(flags.testBy) }),
    ...(flags.testAfter !== undefined && { testAfter: time(flags.testAfter) }),
    ...(flags.split !== undefined && { fractions: fractions(flags.split) }),
    ...(maxRejects !== undefined && { maxRejects }),
    ...(flags.rejects !== undefined && { rejectsPath: flags.rejects }),
  }
}

function invalid(option: string, expected: string, got: string): never {
  throw new WeirError('option_invalid', { option, expected, got })
}

function scoreRange(text: string): [number, number] {
  const match = /^(-?[\d.]+)-(-?[\d.]+)$/.exec(text)
  const low = Number(match?.[1])
  const high = Number(match?.[2])
  if (!(low < high)) return invalid('--score-range', 'low-high, such as 1-10', text)
  return [low, high]
}

function testBy(text: string): 'category' {
  return text === 'category' ? text : invalid('--test-by', 'category', text)
}

function time(text: string): number {
  const date = Date.parse(text)
  return Number.isNaN(date)
    ? invalid('--test-after', 'a date such as 2026-01-31', text)
    : date / 1000
}

function fractions(text: string): IngestOptions['fractions'] & object {
  const [train, validation, calibration, test, ...rest] = text.split(',').map(Number)
  const all = [train, validation, calibration, test]
  if (rest.length > 0 || !all.every((part) => part !== undefined && part >= 0)) {
    return invalid('--split', 'four fractions that add up to 1', text)
  }
  return { train: train!, validation: validation!, calibration: calibration!, test: test! }
}
