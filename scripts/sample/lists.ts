/** The words of a text, in order. */
export const words = (text: string): string[] => text.trim().split(/\s+/)

/** The phrases of a text separated by `|`; line breaks in them become spaces. */
export const phrases = (text: string): string[] =>
  text.split('|').map((phrase) => phrase.trim().replace(/\s+/g, ' '))
