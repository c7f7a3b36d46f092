import { WeirError } from '../../core/errors.ts'
import { checkedRule, type RuleRequest } from '../../training/default-rule.ts'
import type { Efforts } from '../../training/fit-router.ts'
import { keyValue } from './options.ts'

/** Flags of `weir train` that make a router of more than two models. */
export interface RuleFlags {
  readonly models?: string | undefined
  readonly rule?: string | undefined
  readonly loss?: number | undefined
  readonly efforts?: readonly string[] | undefined
}

/** `--models`: names separated by commas, or all; undefined without it, which also refuses the others. */
export function modelsOption(flags: RuleFlags): readonly string[] | 'all' | undefined {
  if (flags.models !== undefined) {
    return flags.models === 'all' ? 'all' : flags.models.split(',').map((name) => name.trim())
  }
  for (const [option, got] of [
    ['--rule', flags.rule],
    ['--loss', flags.loss],
    ['--efforts', flags.efforts?.[0]],
  ] as const) {
    if (got !== undefined) {
      const expected = '--models with it: a pair is decided by its threshold'
      throw new WeirError('option_invalid', { option, expected, got })
    }
  }
  return undefined
}

/** `--efforts model=a,b,c`, once per model. */
export const effortsOption = (pairs: readonly string[]): Efforts[] =>
  pairs.map((pair) => {
    const [model, names] = keyValue('--efforts', pair)
    return { model, tiers: names.split(',').map((name) => name.trim()) }
  })

/** `--rule` and `--loss`. */
export const ruleOption = ({ rule, loss }: RuleFlags): RuleRequest =>
  checkedRule({ kind: rule ?? (loss === undefined ? 'best-value' : 'cheapest-within'), loss })
