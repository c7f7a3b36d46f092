import type { PolicyFile } from './file.ts'

/** ISO 639-1 code of the language a text is in; undefined where it is too short or too mixed to tell. */
export type LanguageOf = (text: string) => string | undefined

/** Letters that are read: enough to be sure, and a bound on what a request can cost. */
const READ = 2000

/** Whether some condition of a policy asks for the language. */
export function asksLanguage({ guardrails = [], rules = [] }: PolicyFile): boolean {
  return [...guardrails, ...rules].some(({ when }) => when?.language !== undefined)
}

/** Opens the detector: 60 languages by n-grams, in about 0.3 seconds and some 100 MB. */
export async function openLanguageOf(): Promise<LanguageOf> {
  const { eld } = await import('eld/extrasmall')
  return (text) => {
    const found = eld.detect(text.slice(0, READ))
    return found.isReliable() ? found.language : undefined
  }
}

/** The codes it knows. */
export const LANGUAGES =
  'am ar az be bg bn ca cs da de el en es et eu fa fi fr gu he hi hr hu hy is it ja ka kn ko ku lo lt lv ml mr ms nl no or pa pl pt ro ru sk sl sq sr sv ta te th tl tr uk ur vi yo zh'.split(
    ' ',
  )
