import { WeirError } from '../../core/errors.ts'
import type { Price } from '../../models/prices.ts'

/** `key=value`, split at the first `=`. */
export function keyValue(option: string, text: string): [string, string] {
  const at = text.indexOf('=')
  if (at <= 0) throw new WeirError('option_invalid', { option, expected: 'key=value', got: text })
  return [text.slice(0, at), text.slice(at + 1)]
}

/** `model=in/out`, US dollars per million tokens; model names may hold `/` and `=` is the last one. */
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

/** `name=weight` of a judge. */
export function judgeWeightOption(text: string): [string, number] {
  const option = '--judge-weight'
  const [name, value] = keyValue(option, text)
  const weight = value.trim() === '' ? Number.NaN : Number(value)
  if (!(Number.isFinite(weight) && weight >= 0)) {
    const expected = 'name=weight with a weight of at least 0, such as gpt-4=0.5'
    throw new WeirError('option_invalid', { option, expected, got: text })
  }
  return [name, weight]
}
