import { WeirError } from '../../core/errors.ts'

/** The parts of `kind:rest?settings`. */
export interface EncoderName {
  readonly kind: string
  readonly rest: string
  readonly settings: NameSettings
}

export function parseEncoderName(name: string): EncoderName {
  const [, kind = '', rest = '', query = ''] = /^([^:?]*):?([^?]*)\??(.*)$/s.exec(name) ?? []
  return { kind, rest, settings: new NameSettings(name, query) }
}

/** The settings after the `?` of an encoder's name. */
export class NameSettings {
  /** the whole name, as given */
  readonly name: string
  private readonly values: URLSearchParams

  constructor(name: string, query: string) {
    this.name = name
    this.values = new URLSearchParams(query)
  }

  /** @throws option_invalid if the name has nothing between the `:` and the `?` */
  require(rest: string, expected: string): void {
    if (rest !== '') return
    throw new WeirError('option_invalid', { option: '--encoder', expected, got: this.name })
  }

  /** @throws option_invalid if a setting is not one of the known ones */
  allow(known: readonly string[]): void {
    for (const key of this.values.keys()) {
      if (known.includes(key)) continue
      throw new WeirError('option_invalid', {
        option: `--encoder ${this.name.replace(/\?.*$/s, '')}`,
        expected: known.length > 0 ? `settings among ${known.join(', ')}` : 'no settings',
        got: key,
      })
    }
  }

  strings<K extends string>(keys: readonly K[]): { [key in K]?: string } {
    return Object.fromEntries(
      keys.flatMap((key) => {
        const value = this.values.get(key)
        return value === null ? [] : [[key, value]]
      }),
    ) as { [key in K]?: string }
  }

  /** Values that are not numbers become NaN, which the encoder's schema refuses by name. */
  numbers<K extends string>(keys: readonly K[]): { [key in K]?: number } {
    return Object.fromEntries(
      Object.entries(this.strings(keys)).map(([key, value]) => [key, Number(value)]),
    ) as { [key in K]?: number }
  }
}
