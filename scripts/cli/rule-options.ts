import { WeirError } from '../../core/errors.ts'
import type { RuleRequest } from '../../training/default-rule.ts'
import { choiceOption } from './options.ts'

/** Flags of `weir train` that make a router of more than two models. */
export interface RuleFlags {
  readonly models?: string | undefined
  readonly rule?: string | undefined
  readonly loss?: number | undefined
}

const RULES = ['best-value', 'cheapest-within'] as const
const DEFAULT_LOSS = 0.02

/** `--models`: names separated by commas, or all; undefined without it, which also refuses the other two. */
export function modelsOption(flags: RuleFlags): readonly string[] | 'all' | undefined {
  if (flags.models !== undefined) {
    return flags.models === 'all' ? 'all' : flags.models.split(',').map((name) => name.trim())
  }
  for (const [option, got] of [
    ['--rule', flags.rule],
    ['--loss', flags.loss],
  ] as const) {
    if (got !== undefined) {
      const expected = '--models with it: a pair is decided by its threshold'
      throw new WeirError('option_invalid', { option, expected, got })
    }
  }
  return undefined
}

/** `--rule` and `--loss`. */
export function ruleOption(flags: RuleFlags): RuleRequest {
  const { loss } = flags
  const kind = choiceOption(
    '--rule',
    flags.rule ?? (loss === undefined ? 'best-value' : 'cheapest-within'),
    RULES,
  )
  if (kind === 'cheapest-within') return { kind, loss: loss ?? DEFAULT_LOSS }
  if (loss === undefined) return { kind }
  const expected = '--rule cheapest-within with it'
  throw new WeirError('option_invalid', { option: '--loss', expected, got: loss })
}
