/** The words of a text, as they follow each other. */
export const words = (text: string): string[] => text.trim().split(/\s+/)

/** The phrases of a text that `|` parts; line breaks in them are blanks. */
export const phrases = (text: string): string[] =>
  text.split('|').map((phrase) => phrase.trim().replace(/\s+/g, ' '))
