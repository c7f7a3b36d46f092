/**
 * Characters that a terminal obeys instead of showing: controls (ANSI escapes begin with one), marks that
 * change the direction of text, line separators, and tag characters, which are never visible.
 */
const OBEYED = /[\p{Cc}\p{Bidi_Control}\u2028\u2029\u{E0000}-\u{E007F}]/gu

/** `\u001b`, as JSON writes it. */
const escaped = (character: string): string =>
  Array.from(
    { length: character.length },
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
  ).join('')

/**
 * A text as it may be written to a terminal: everything that comes from logs, bundles, requests or answers is
 * printed through here. What a terminal would obey is shown as its escape; newlines and tabs stay. JSON stays
 * the same JSON.
 */
export const printable = (text: string): string =>
  text.replace(OBEYED, (one) => (one === '\n' || one === '\t' ? one : escaped(one)))

/** The same for one cell of a table, whose newlines and tabs would break the rows. */
export const printableCell = (text: string): string => text.replace(OBEYED, escaped)
