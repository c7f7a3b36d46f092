import { WeirError } from '../../core/errors.ts'
import type { Target } from '../../training/calibrate/target.ts'
import { numberOption } from './options.ts'

export interface TargetFlags {
  readonly strongShare?: string
  readonly quality?: string
  readonly match?: string
  readonly within?: string
  readonly budget?: string
  readonly maxLoss?: string
  readonly maxHarm?: string
  readonly confidence?: string
}

const DEFAULT_CONFIDENCE = 0.9
const NAMES = {
  strongShare: '--strong-share',
  quality: '--quality',
  match: '--match',
  budget: '--budget',
  maxLoss: '--max-loss',
  maxHarm: '--max-harm',
} as const

/** The one target that the flags state. Refuses none, and more than one. `renamed`: flags that a command calls otherwise. */
export function readTarget(
  flags: TargetFlags,
  renamed: Partial<Record<keyof typeof NAMES, string>> = {},
): Target {
  const names = { ...NAMES, ...renamed }
  const given = Object.entries(names).filter(
    ([key]) => flags[key as keyof typeof NAMES] !== undefined,
  )
  if (given.length !== 1) {
    throw new WeirError('option_invalid', {
      option: 'the target',
      expected: `exactly one of ${Object.values(names).join(', ')}`,
      got: given.length === 0 ? 'none' : given.map(([, name]) => name).join(' and '),
    })
  }
  const share = { min: 0, max: 1 }
  const stated = numberOption('--confidence', flags.confidence, { min: 0.5, max: 0.9999 })
  const sure = stated === undefined ? {} : { confidence: stated }
  const confidence = stated ?? DEFAULT_CONFIDENCE
  if (flags.strongShare !== undefined) {
    if (stated !== undefined) refuseConfidence(names.strongShare, flags.confidence)
    return {
      kind: 'strong-share',
      share: numberOption(names.strongShare, flags.strongShare, share)!,
    }
  }
  if (flags.quality !== undefined) {
    return { kind: 'quality', pgr: numberOption('--quality', flags.quality, share)!, ...sure }
  }
  if (flags.match !== undefined) return matchTarget(flags, sure)
  if (flags.budget !== undefined) {
    const usd = numberOption('--budget', flags.budget, { min: 1e-9 })!
    return { kind: 'budget', usd_per_1k: usd, confidence }
  }
  if (flags.maxLoss !== undefined) {
    return { kind: 'max-loss', loss: numberOption('--max-loss', flags.maxLoss, share)!, confidence }
  }
  const harm = numberOption('--max-harm', flags.maxHarm, share)!
  return { kind: 'max-harm', harm, ...sure }
}

function matchTarget(flags: TargetFlags, sure: { confidence?: number }): Target {
  if (flags.match !== 'strong') {
    throw new WeirError('option_invalid', {
      option: '--match',
      expected: 'strong',
      got: flags.match,
    })
  }
  const within = numberOption('--within', flags.within, { min: 0, max: 1 })
  if (within === undefined) {
    const expected = 'a number from 0 to 1, such as 0.01'
    throw new WeirError('option_invalid', { option: '--within', expected, got: 'nothing' })
  }
  return { kind: 'match', within, ...sure }
}

function refuseConfidence(option: string, got: string | undefined): never {
  const expected = `no --confidence with ${option} (its share has an interval)`
  throw new WeirError('option_invalid', { option: '--confidence', expected, got })
}
