import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import type { Target } from '../../training/calibrate/target.ts'
import { numberOption } from './options.ts'

/** What is calibrated: a router's threshold, the threshold of a cascade's check, or a rule among many models. */
export type Decision = 'threshold' | 'cascade' | 'rule'

export interface TargetFlags {
  readonly strongShare?: string
  readonly escalateShare?: string
  readonly quality?: string
  readonly match?: string
  readonly within?: string
  readonly budget?: string
  readonly costPer1k?: string
  readonly bestShare?: string
  readonly maxLoss?: string
  readonly maxHarm?: string
  readonly confidence?: string
}

/** What an option's text is read with. */
interface Reading {
  readonly option: string
  readonly text: string
  readonly flags: TargetFlags
  /** as stated, else absent: the target is then met without a promise */
  readonly sure: { readonly confidence?: number }
  /** as stated, else the default: for targets that are always promised */
  readonly confidence: number
}

interface TargetOption {
  readonly key: keyof TargetFlags
  readonly option: string
  readonly of: readonly Decision[]
  readonly read: (reading: Reading) => Target
}

const share = ({ option, text }: Reading): number => numberOption(option, text, { min: 0, max: 1 })!

const strongShare = (reading: Reading): Target => {
  const { option, flags } = reading
  if (flags.confidence !== undefined) {
    const expected = `no --confidence with ${option} (its share has an interval)`
    throw new WeirError('option_invalid', {
      option: '--confidence',
      expected,
      got: flags.confidence,
    })
  }
  return { kind: 'strong-share', share: share(reading) }
}

const budget = ({ option, text, confidence }: Reading): Target => ({
  kind: 'budget',
  usd_per_1k: numberOption(option, text, { min: 1e-9 })!,
  confidence,
})

const match = ({ text, flags, sure }: Reading): Target => {
  if (text !== 'strong') {
    throw new WeirError('option_invalid', { option: '--match', expected: 'strong', got: text })
  }
  const within = numberOption('--within', flags.within, { min: 0, max: 1 })
  if (within === undefined) {
    const expected = 'a number from 0 to 1, such as 0.01'
    throw new WeirError('option_invalid', { option: '--within', expected, got: 'nothing' })
  }
  return { kind: 'match', within, ...sure }
}

const ANY: readonly Decision[] = ['threshold', 'cascade', 'rule']
const PAIR: readonly Decision[] = ['threshold', 'cascade']

/** Every option that states a target, and what it can be stated of. */
const TARGETS: readonly TargetOption[] = [
  { key: 'strongShare', option: '--strong-share', of: ['threshold'], read: strongShare },
  { key: 'escalateShare', option: '--escalate-share', of: ['cascade'], read: strongShare },
  {
    key: 'quality',
    option: '--quality',
    of: ANY,
    read: (reading) => ({ kind: 'quality', pgr: share(reading), ...reading.sure }),
  },
  { key: 'match', option: '--match', of: PAIR, read: match },
  { key: 'budget', option: '--budget', of: ANY, read: budget },
  { key: 'costPer1k', option: '--cost-per-1k', of: ['threshold', 'rule'], read: budget },
  {
    key: 'bestShare',
    option: '--best-share',
    of: ['rule'],
    read: (reading) => ({ kind: 'best-share', share: share(reading), ...reading.sure }),
  },
  {
    key: 'maxLoss',
    option: '--max-loss',
    of: ANY,
    read: (reading) => ({
      kind: 'max-loss',
      loss: share(reading),
      confidence: reading.confidence,
    }),
  },
  {
    key: 'maxHarm',
    option: '--max-harm',
    of: PAIR,
    read: (reading) => ({ kind: 'max-harm', harm: share(reading), ...reading.sure }),
  },
]

/** Other options of `weir calibrate` that a rule among many models has no use for. */
const THRESHOLD_ONLY: Readonly<Record<string, string>> = {
  targetTable: '--target-table',
  method: '--method',
  unlabelled: '--unlabelled',
  targetPrompts: '--target-prompts',
}

const DEFAULT_CONFIDENCE = 0.9

/** `--confidence`, where it is stated. */
export const confidenceOption = (text: string | undefined): number | undefined =>
  numberOption('--confidence', text, { min: 0.5, max: 0.9999 })

/** The one target that the options state. Refuses none, several, and options of another kind of decision. */
export function readTarget(flags: TargetFlags, decision: Decision): Target {
  refuseMisplaced(flags, decision)
  const able = TARGETS.filter(({ of }) => of.includes(decision))
  const given = able.filter(({ key }) => flags[key] !== undefined)
  const [target] = given
  if (!target || given.length > 1) {
    const among = decision === 'rule' ? ' for a router among many models' : ''
    throw new WeirError('option_invalid', {
      option: 'the target',
      expected: `exactly one of ${able.map(({ option }) => option).join(', ')}${among}`,
      got: target ? given.map(({ option }) => option).join(' and ') : 'none',
    })
  }
  const { key, option, read } = target
  const stated = confidenceOption(flags.confidence)
  return read({
    option,
    text: flags[key]!,
    flags,
    sure: definedOnly({ confidence: stated }),
    confidence: stated ?? DEFAULT_CONFIDENCE,
  })
}

function refuseMisplaced(flags: TargetFlags, decision: Decision): void {
  const misplaced = [
    ...TARGETS.filter(({ of }) => !of.includes(decision)).map(({ key, option }) => [key, option]),
    ...(decision === 'rule' ? Object.entries(THRESHOLD_ONLY) : []),
  ]
  for (const [key, option] of misplaced) {
    const value: unknown = (flags as Record<string, unknown>)[key!]
    const absent = value === undefined || value === false || (value as string).length === 0
    if (absent) continue
    const expected =
      decision === 'rule'
        ? 'it only for a router between a strong and a weak model'
        : 'it only for a router trained with --models (--quality for a pair)'
    throw new WeirError('option_invalid', { option: option!, expected, got: String(value) })
  }
}
