import { RE2JS } from 're2js'

/** A pattern that is searched in time linear in the text, whatever the pattern. */
export interface Pattern {
  readonly source: string
  test(text: string): boolean
  /** what its first group took where it is first found, all of it where it has no group; undefined where it is not */
  capture(text: string): string | undefined
}

/** RE2 syntax: no back-references, no look-around. @throws Error that says what is wrong with it */
export function compilePattern(source: string): Pattern {
  const compiled = RE2JS.compile(source)
  return {
    source,
    test: (text) => compiled.test(text),
    capture(text) {
      const matcher = compiled.matcher(text)
      if (!matcher.find()) return undefined
      return matcher.group(matcher.groupCount() > 0 ? 1 : 0) ?? undefined
    },
  }
}
