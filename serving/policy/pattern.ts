import { RE2JS } from 're2js'

/** A pattern that is searched in time linear in the text, whatever the pattern. */
export interface Pattern {
  readonly source: string
  test(text: string): boolean
}

/** RE2 syntax: no back-references, no look-around. @throws Error that says what is wrong with it */
export function compilePattern(source: string): Pattern {
  const compiled = RE2JS.compile(source)
  return { source, test: (text) => compiled.matcher(text).find() }
}
