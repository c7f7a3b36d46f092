import Type from 'typebox'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import type { Target } from '../../training/calibrate/target.ts'
import { type Flags, flagName, oneOf, optionTable, Share } from './options.ts'

/** What is calibrated: a router's threshold, the threshold of a cascade's check, or a rule among many models. */
export type Decision = 'threshold' | 'cascade' | 'rule'

const TARGET = 'Target (exactly one)'
const Dollars = Type.Number({ minimum: 1e-9 })

/** Every option that states a target, and its related options. */
export const TARGET_OPTIONS = optionTable({
  strongShare: {
    flag: '--strong-share <share>',
    schema: Share,
    help: 'send this share of the prompts to the strong model',
    section: TARGET,
  },
  escalateShare: {
    flag: '--escalate-share <share>',
    schema: Share,
    help: 'escalate this share of the answers',
    section: TARGET,
  },
  quality: {
    flag: '--quality <pgr>',
    schema: Share,
    help: 'keep this share of the quality gap between weak and strong (PGR)',
    section: TARGET,
  },
  match: {
    flag: '--match <model>',
    schema: oneOf(['strong']),
    help: 'match the quality of `strong`; needs --within',
    section: TARGET,
  },
  within: {
    flag: '--within <loss>',
    schema: Share,
    help: 'with --match: stay at most this far below always-strong',
    section: TARGET,
  },
  budget: {
    flag: '--budget <usd>',
    schema: Dollars,
    help: 'spend at most this many US dollars per 1,000 requests',
    section: TARGET,
  },
  costPer1k: {
    flag: '--cost-per-1k <usd>',
    schema: Dollars,
    help: 'the same as --budget',
    section: TARGET,
  },
  bestShare: {
    flag: '--best-share <share>',
    schema: Share,
    help: 'for a router among many models: keep this share of the best model’s quality',
    section: TARGET,
  },
  maxLoss: {
    flag: '--max-loss <loss>',
    schema: Share,
    help: 'lose at most this much quality against always-strong, net',
    section: TARGET,
  },
  maxHarm: {
    flag: '--max-harm <share>',
    schema: Share,
    help: 'send weak at most this share of the requests that only strong gets right',
    section: TARGET,
  },
  confidence: {
    flag: '--confidence <level>',
    schema: Type.Number({ minimum: 0.5, maximum: 0.9999 }),
    unset: '0.9 for budgets and losses',
    help: 'probability with which the promise must hold',
    section: TARGET,
  },
})
export type TargetFlags = Flags<typeof TARGET_OPTIONS>

/** The options that a target is read from. */
interface Reading {
  readonly option: string
  readonly value: number
  readonly flags: TargetFlags
  /** as given, else absent: the target is then met without a guarantee */
  readonly sure: { readonly confidence?: number }
  /** as given, else the default: for targets that always have a guarantee */
  readonly confidence: number
}

interface TargetRow {
  readonly key: keyof TargetFlags
  readonly of: readonly Decision[]
  readonly read: (reading: Reading) => Target
}

const strongShare = ({ option, value: share, flags }: Reading): Target => {
  if (flags.confidence === undefined) return { kind: 'strong-share', share }
  const expected = `no --confidence with ${option} (its share has an interval)`
  const got = flags.confidence
  throw new WeirError('option_invalid', { option: '--confidence', expected, got })
}

const budget = ({ value, confidence }: Reading): Target => ({
  kind: 'budget',
  usd_per_1k: value,
  confidence,
})

const match = ({ flags: { within }, sure }: Reading): Target => {
  if (within !== undefined) return { kind: 'match', within, ...sure }
  const expected = 'a number from 0 to 1, such as 0.01'
  throw new WeirError('option_invalid', { option: '--within', expected, got: 'nothing' })
}

const ANY: readonly Decision[] = ['threshold', 'cascade', 'rule']
const PAIR: readonly Decision[] = ['threshold', 'cascade']

/** Every option that states a target, and the decisions it applies to. */
const TARGETS: readonly TargetRow[] = [
  { key: 'strongShare', of: ['threshold'], read: strongShare },
  { key: 'escalateShare', of: ['cascade'], read: strongShare },
  {
    key: 'quality',
    of: ANY,
    read: ({ value, sure }) => ({ kind: 'quality', pgr: value, ...sure }),
  },
  { key: 'match', of: PAIR, read: match },
  { key: 'budget', of: ANY, read: budget },
  { key: 'costPer1k', of: ['threshold', 'rule'], read: budget },
  {
    key: 'bestShare',
    of: ['rule'],
    read: ({ value, sure }) => ({ kind: 'best-share', share: value, ...sure }),
  },
  {
    key: 'maxLoss',
    of: ANY,
    read: ({ value, confidence }) => ({ kind: 'max-loss', loss: value, confidence }),
  },
  {
    key: 'maxHarm',
    of: PAIR,
    read: ({ value, sure }) => ({ kind: 'max-harm', harm: value, ...sure }),
  },
]

const optionOf = (key: keyof TargetFlags): string => flagName(TARGET_OPTIONS[key])

/** Other options of `weir calibrate` that do not apply to a rule among many models. */
const THRESHOLD_ONLY: Readonly<Record<string, string>> = {
  targetTable: '--target-table',
  method: '--method',
  unlabelled: '--unlabelled',
  targetPrompts: '--target-prompts',
}

const DEFAULT_CONFIDENCE = 0.9

/** The single target in the options. Refuses none, several, and options of another kind of decision. */
export function readTarget(flags: TargetFlags, decision: Decision): Target {
  refuseMisplaced(flags, decision)
  const able = TARGETS.filter(({ of }) => of.includes(decision))
  const given = able.filter(({ key }) => flags[key] !== undefined)
  const [target] = given
  if (!target || given.length > 1) {
    const among = decision === 'rule' ? ' for a router among many models' : ''
    throw new WeirError('option_invalid', {
      option: 'the target',
      expected: `exactly one of ${able.map(({ key }) => optionOf(key)).join(', ')}${among}`,
      got: target ? given.map(({ key }) => optionOf(key)).join(' and ') : 'none',
    })
  }
  return target.read({
    option: optionOf(target.key),
    value: Number(flags[target.key]),
    flags,
    sure: definedOnly({ confidence: flags.confidence }),
    confidence: flags.confidence ?? DEFAULT_CONFIDENCE,
  })
}

function refuseMisplaced(flags: TargetFlags, decision: Decision): void {
  const misplaced = [
    ...TARGETS.filter(({ of }) => !of.includes(decision)).map(({ key }) => [key, optionOf(key)]),
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
