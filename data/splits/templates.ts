import { hashText } from '../../core/hash.ts'
import { plainHead, sharedStarts } from './stem.ts'

/** Text around questions that many prompts share, as lower-cased letters and digits. */
export interface Templates {
  /** longest first, as are the suffixes; four letters at least */
  readonly prefixes: readonly string[]
  readonly suffixes: readonly string[]
  /** whole lines */
  readonly lines: ReadonlySet<string>
}

/** Prompts, and characters of each, that templates are looked for in. */
const SAMPLE = 4_000
const CHARACTERS = 4_000
/** More than this share of the prompts, and this many, make a template of a prefix, a suffix or a line. */
const SHARE = 0.02
const LEAST_PROMPTS = 20
const LEAST_LENGTH = 4
/** Letters and digits of a question that are compared, and the fewest that say which question it is. */
const CORE_LENGTH = 160
const LEAST_CORE = 24
/** Letters and digits that are read. */
const READ = 2_000
const MOST_PREFIXES = 200

/** What names the question in a prompt: "Q:", "Question:", "User:". One with a number tells questions apart. */
const LABEL = /^\s*(?:q|question|user|human|prompt|input|task|problem|query)s?\s*[:.)-]\s*/i

/**
 * Finds templates in a sample of the prompts. A natural opening such as "what is the" counts as well: without
 * it questions are still told apart by the rest.
 */
export function findTemplates(prompts: readonly string[]): Templates {
  const enough = Math.max(LEAST_PROMPTS, Math.floor(prompts.length * SHARE) + 1)
  const lines = new Map<string, number>()
  for (const prompt of prompts) {
    for (const line of new Set(linesOf(prompt))) lines.set(line, (lines.get(line) ?? 0) + 1)
  }
  const shared = new Set([...lines].filter(([, count]) => count >= enough).map(([line]) => line))
  const texts = prompts.map((prompt) => withoutLines(prompt, shared))
  const reversed = texts.map(backwards)
  return {
    lines: shared,
    prefixes: templateStarts(texts, enough),
    suffixes: templateStarts(reversed, enough).map(backwards),
  }
}

/**
 * A sample of the prompts with the smallest hashes: it depends only on the prompts, not on their order.
 */
export class TemplateSample {
  private texts: { readonly key: number; readonly text: string }[] = []
  private below = 0x1_0000_0000

  /** `key`: the first 32 bits of the prompt's hash; `text`: what was asked. */
  add(key: number, text: () => string): void {
    if (key >= this.below) return
    this.texts.push({ key, text: text().slice(0, CHARACTERS) })
    while (this.texts.length > SAMPLE) {
      this.below /= 2
      this.texts = this.texts.filter((item) => item.key < this.below)
    }
  }

  templates(): Templates {
    return findTemplates(this.texts.map(({ text }) => text))
  }
}

export const isEmpty = ({ prefixes, suffixes, lines }: Templates): boolean =>
  prefixes.length === 0 && suffixes.length === 0 && lines.size === 0

/** Prefixes that are tried on one prompt: a template may go on with a word that many questions start with. */
const TRIED = 4

/**
 * Returns a function that says what a prompt may ask once the templates around it are off, as 160 lower-cased
 * letters and digits at most: the whole text, and what is left without each prefix and suffix that fits. Two
 * prompts that share one of these ask the same. Empty if too little is left to tell questions apart.
 */
export function coreReader({ prefixes, suffixes, lines }: Templates): (prompt: string) => string[] {
  // a suffix beyond this does not reach into any core
  const read = Math.min(READ, longest(prefixes) + CORE_LENGTH + longest(suffixes))
  const byStart = new Map<string, string[]>()
  for (const one of prefixes) {
    byStart.set(startOf(one), [...(byStart.get(startOf(one)) ?? []), one])
  }
  const none: readonly string[] = []
  return (prompt) => {
    const text = withoutLines(prompt, lines, read)
    const cores: string[] = []
    const add = (start: number, end: number): void => {
      const left = text.length - start - end
      if (left < LEAST_CORE) return
      const core = text.slice(start, start + Math.min(left, CORE_LENGTH))
      if (!cores.includes(core)) cores.push(core)
    }
    const ending = text.length < read ? suffixes.filter((one) => text.endsWith(one)) : none
    const addFrom = (start: number): void => {
      add(start, 0)
      if (ending.length > 0) add(start, ending[0]!.length)
      if (ending.length > 1) add(start, ending.at(-1)!.length)
    }
    addFrom(0)
    const fitting = (byStart.get(startOf(text)) ?? none).filter((one) => text.startsWith(one))
    for (const { length } of fitting.slice(-TRIED)) addFrom(length)
    return cores
  }
}

/** Like `coreReader`, for hashes of the cores as numbers of 53 bits. */
export function coreKeyReader(templates: Templates): (prompt: string) => number[] {
  const coresOf = coreReader(templates)
  const hash = new Uint32Array(2)
  return (prompt) =>
    coresOf(prompt).map((core) => {
      hashText(core, 0, hash)
      return hash[1]! * 0x20_0000 + (hash[0]! >>> 11)
    })
}

const startOf = (text: string): string => text.slice(0, LEAST_LENGTH)

/** Length of the longest; they are sorted by it. */
const longest = (texts: readonly string[]): number => texts[0]?.length ?? 0

const linesOf = (prompt: string): string[] =>
  prompt
    .slice(0, CHARACTERS)
    .split('\n')
    .map((line) => plainHead(line, READ))
    .filter((line) => line.length >= LEAST_LENGTH)

/** The first `length` letters and digits of a prompt without the lines and the label of its question. */
function withoutLines(prompt: string, lines: ReadonlySet<string>, length = READ): string {
  const read = prompt.slice(0, CHARACTERS).replace(LABEL, '')
  const kept =
    lines.size === 0 || !read.includes('\n')
      ? read
      : read
          .split('\n')
          .filter((line) => !lines.has(plainHead(line, READ)))
          .join('\n')
          .replace(LABEL, '')
  return plainHead(kept, length)
}

const templateStarts = (texts: readonly string[], enough: number): string[] =>
  sharedStarts(texts, enough, LEAST_LENGTH).slice(0, MOST_PREFIXES)

const backwards = (text: string): string => [...text].reverse().join('')
