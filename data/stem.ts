/** A prefix shared by more than this part of the prompts is a template, not the question. */
const SHARED_SHARE = 0.05
/** Shorter shared openings ("what is the") are chance, and few prompts have no template. */
const SHARED_MIN_LENGTH = 24
const SHARED_MIN_PROMPTS = 20
/** Characters of a prompt that are looked at; letters and digits of a template; of a stem. */
const TEXT_LENGTH = 16_000
const HEAD_LENGTH = 4_000
const STEM_LENGTH = 160

const OPTION_LINE = /^[ \t]*(?:\([A-Za-z]\)|[A-Z][.)])[ \t].*$/gm
const ANSWER_CUE = /\banswer:?\s*$/i
const NOT_LETTER_OR_DIGIT = /[^\p{L}\p{N}]+/gu

/** Lower-cased letters and digits of the prompt without its answer options and closing "Answer:". */
export function plainHead(text: string): string {
  const cut = text.length > TEXT_LENGTH ? text.slice(0, TEXT_LENGTH) : text
  const question = cut.replace(OPTION_LINE, '').replace(ANSWER_CUE, '')
  const plain = question.toLowerCase().replace(NOT_LETTER_OR_DIGIT, '')
  // A prompt that is nothing but options still needs a stem of its own.
  if (plain !== '') return plain.slice(0, HEAD_LENGTH)
  return cut.toLowerCase().replace(NOT_LETTER_OR_DIGIT, '').slice(0, HEAD_LENGTH) || cut
}

/**
 * What two prompts share when they are the same question: the plain head without the longest of the
 * shared prefixes, first 160 characters. Copies that differ in case, spacing or options have one stem.
 */
export function stem(text: string, prefixes: readonly string[]): string {
  const head = plainHead(text)
  let longest = 0
  for (const prefix of prefixes) {
    if (prefix.length > longest && prefix.length < head.length && head.startsWith(prefix)) {
      longest = prefix.length
    }
  }
  return head.slice(longest, longest + STEM_LENGTH)
}

/** Prefixes (of plain heads) that over 5% of the distinct prompts share, longest first. */
export function findSharedPrefixes(prompts: readonly string[]): string[] {
  return sharedPrefixes(prompts.map(plainHead))
}

/** In sorted order the prompts that share a prefix are neighbours, so a window's ends tell what all share. */
export function sharedPrefixes(heads: string[]): string[] {
  const enough = Math.max(SHARED_MIN_PROMPTS, Math.floor(heads.length * SHARED_SHARE) + 1)
  const sorted = [...heads].sort()
  const found = new Set<string>()
  for (let i = 0; i + enough <= sorted.length; i++) {
    const first = sorted[i]!
    const last = sorted[i + enough - 1]!
    let shared = 0
    while (shared < first.length && first.charCodeAt(shared) === last.charCodeAt(shared)) shared++
    if (shared >= SHARED_MIN_LENGTH) found.add(first.slice(0, shared))
  }
  return [...found].sort((a, b) => b.length - a.length || (a < b ? -1 : 1))
}
