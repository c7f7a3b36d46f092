import { WeirError } from '../../core/errors.ts'

export interface NumberRange {
  readonly min?: number
  readonly max?: number
  readonly integer?: boolean
}

/** A numeric option's value, or undefined where it was not given. Refuses what isn't a number in range. */
export function numberOption(
  option: string,
  text: string | undefined,
  range: NumberRange = {},
): number | undefined {
  if (text === undefined) return undefined
  const value = text.trim() === '' ? Number.NaN : Number(text)
  const fits =
    Number.isFinite(value) &&
    value >= (range.min ?? -Infinity) &&
    value <= (range.max ?? Infinity) &&
    (!range.integer || Number.isInteger(value))
  if (!fits) throw new WeirError('option_invalid', { option, expected: describe(range), got: text })
  return value
}

/** One of the given words. */
export function choiceOption<T extends string>(
  option: string,
  value: string,
  choices: readonly T[],
): T {
  const found = choices.find((choice) => choice === value)
  if (found === undefined) {
    throw new WeirError('option_invalid', {
      option,
      expected: `one of ${choices.join(', ')}`,
      got: value,
    })
  }
  return found
}

/** `--strong` and `--weak`, which go together. */
export function pairOption(
  strong: string | undefined,
  weak: string | undefined,
): { strong: string; weak: string } | undefined {
  if (strong === undefined && weak === undefined) return undefined
  if (strong !== undefined && weak !== undefined) return { strong, weak }
  throw new WeirError('option_invalid', {
    option: '--strong and --weak',
    expected: 'both or neither',
    got: strong === undefined ? 'only --weak' : 'only --strong',
  })
}

function describe({ min, max, integer }: NumberRange): string {
  const kind = integer ? 'a whole number' : 'a number'
  if (min !== undefined && max !== undefined) return `${kind} from ${min} to ${max}`
  if (min !== undefined) return `${kind} of at least ${min}`
  if (max !== undefined) return `${kind} of at most ${max}`
  return kind
}
