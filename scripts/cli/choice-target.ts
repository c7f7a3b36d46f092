import { WeirError } from '../../core/errors.ts'
import type { ChoiceTarget } from '../../training/choice/choice-target.ts'
import { numberOption } from './options.ts'

/** Flags of `weir calibrate` that state a target of a router among many models. */
export interface ChoiceTargetFlags {
  readonly budget?: string
  readonly costPer1k?: string
  readonly bestShare?: string
  readonly quality?: string
  readonly maxLoss?: string
  readonly confidence?: string
}

const NAMES = {
  budget: '--budget',
  costPer1k: '--cost-per-1k',
  bestShare: '--best-share',
  quality: '--quality',
  maxLoss: '--max-loss',
} as const

const DEFAULT_CONFIDENCE = 0.9

/** The one target that the flags state; flags of a pair are refused. */
export function readChoiceTarget(flags: ChoiceTargetFlags, others: object): ChoiceTarget {
  refusePairFlags(others)
  const given = Object.entries(NAMES).filter(
    ([key]) => flags[key as keyof typeof NAMES] !== undefined,
  )
  if (given.length !== 1) {
    throw new WeirError('option_invalid', {
      option: 'the target',
      expected: `exactly one of ${Object.values(NAMES).join(', ')} for a router among many models`,
      got: given.length === 0 ? 'none' : given.map(([, name]) => name).join(' and '),
    })
  }
  const share = { min: 0, max: 1 }
  const stated = numberOption('--confidence', flags.confidence, { min: 0.5, max: 0.9999 })
  const sure = stated === undefined ? {} : { confidence: stated }
  const confidence = stated ?? DEFAULT_CONFIDENCE
  if (flags.bestShare !== undefined) {
    return {
      kind: 'best-share',
      share: numberOption('--best-share', flags.bestShare, share)!,
      ...sure,
    }
  }
  if (flags.quality !== undefined) {
    return { kind: 'quality', pgr: numberOption('--quality', flags.quality, share)!, ...sure }
  }
  if (flags.maxLoss !== undefined) {
    return { kind: 'max-loss', loss: numberOption('--max-loss', flags.maxLoss, share)!, confidence }
  }
  const [option, text] = flags.budget
    ? (['--budget', flags.budget] as const)
    : (['--cost-per-1k', flags.costPer1k] as const)
  return { kind: 'budget', usd_per_1k: numberOption(option, text, { min: 1e-9 })!, confidence }
}

/** What only makes sense for a strong and a weak model, or is not there for many. */
const PAIR_ONLY: Readonly<Record<string, string>> = {
  strongShare: '--strong-share',
  match: '--match',
  maxHarm: '--max-harm',
  targetTable: '--target-table',
  method: '--method',
  unlabelled: '--unlabelled',
  targetPrompts: '--target-prompts',
}

function refusePairFlags(flags: object): void {
  for (const [key, value] of Object.entries(flags)) {
    const option = PAIR_ONLY[key]
    const absent = value === undefined || value === false || value.length === 0
    if (option === undefined || absent) continue
    const expected = 'it only for a router between a strong and a weak model'
    throw new WeirError('option_invalid', { option, expected, got: String(value) })
  }
}
