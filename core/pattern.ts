import { RE2JS } from 're2js'

/** A pattern whose search time is linear in the text, whatever the pattern. */
export interface Pattern {
  readonly source: string
  test(text: string): boolean
  /**
   * the text of the first group in the first match, or the whole match if there is no group; undefined if no
   * match
   */
  capture(text: string): string | undefined
}

/** RE2 syntax: no back-references, no look-around. @throws Error that describes the syntax error */
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
