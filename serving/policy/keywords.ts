import type { Traits } from './traits.ts'

const PART_OF_WORD = /^[\p{L}\p{N}]/u

/** Whether a question has one of the words or phrases: whole, in any case. Takes time linear in the question. */
export function compileKeywords(keywords: readonly string[]): (traits: Traits) => boolean {
  const wanted = keywords.map((word) => word.toLowerCase())
  return (traits) => {
    const text = loweredOf(traits)
    return wanted.some((word) => hasWord(text, word))
  }
}

function hasWord(text: string, word: string): boolean {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    if (
      !endsInWord(text, at) &&
      !PART_OF_WORD.test(text.slice(at + word.length, at + word.length + 2))
    ) {
      return true
    }
  }
  return false
}

/** Whether what stands before the position is a letter or digit; letters beyond 16 bits are two units. */
function endsInWord(text: string, at: number): boolean {
  const unit = text.charCodeAt(at - 1)
  const low = unit >= 0xdc00 && unit < 0xe000
  return at > 0 && PART_OF_WORD.test(text.slice(low ? at - 2 : at - 1, at))
}

/** Of questions that are still worked on: several rules look at one. */
const lowered = new WeakMap<Traits, string>()

function loweredOf(traits: Traits): string {
  let text = lowered.get(traits)
  if (text === undefined) {
    text = traits.question.toLowerCase()
    lowered.set(traits, text)
  }
  return text
}
