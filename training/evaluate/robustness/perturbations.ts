import { createRandom, deriveSeed } from '../../../core/random.ts'
import { promptFields, readTranscript, transcript } from '../../../models/reading/transcript.ts'

/** A change of what a user wrote that leaves what is asked as it is. */
export interface Perturbation {
  readonly name: string
  /** `form`: how it is written; `padding`: text around it; `attack`: text that is meant to turn the decision */
  readonly kind: 'form' | 'padding' | 'attack'
  /** @param row number of the prompt, for changes that differ between prompts */
  apply(text: string, row: number): string
}

/** Latin letters and letters of other scripts that look the same. */
const LOOK_ALIKES: Readonly<Record<string, string>> = {
  ...{ a: 'а', c: 'с', e: 'е', i: 'і', j: 'ј', o: 'о', p: 'р', s: 'ѕ', x: 'х', y: 'у' },
  ...{
    A: 'А',
    B: 'В',
    C: 'С',
    E: 'Е',
    H: 'Н',
    I: 'І',
    K: 'К',
    M: 'М',
    O: 'О',
    P: 'Р',
    T: 'Т',
    X: 'Х',
  },
}

/** Plain sentences about nothing that a router is asked, no two alike; 500 words. */
const NEUTRAL = Array.from({ length: 50 }, (_, i) => {
  const pick = (words: string): string => {
    const all = words.split(' ')
    return all[(i * 7 + words.length) % all.length]!
  }
  const who = pick('boat gull baker dog train painter gardener cloud tram neighbour fisherman')
  const does = pick('waits rests turns walks sings stands sleeps works passes')
  const where = pick('pier square river mill fountain village hill station bridge garden market')
  const when = pick('morning evening afternoon winter spring summer autumn')
  return `A ${pick('small quiet green old friendly tall')} ${who} ${does} near the ${where} every ${when}.`
}).join(' ')

const fullwidth = (text: string): string =>
  text.replace(/[!-~]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) + 0xfee0))

/** Two neighbouring letters swapped in about every twelfth word. */
function typos(text: string, row: number): string {
  const random = createRandom(deriveSeed(row, 'typos'))
  return text.replace(/[A-Za-z]{4,}/g, (word) => {
    if (random.next() > 1 / 12) return word
    const at = 1 + random.int(word.length - 2)
    return word.slice(0, at) + word[at + 1] + word[at] + word.slice(at + 2)
  })
}

export const PERTURBATIONS: readonly Perturbation[] = [
  { name: 'upper case', kind: 'form', apply: (text) => text.toUpperCase() },
  { name: 'spacing', kind: 'form', apply: (text) => text.replace(/ /g, '  ') },
  { name: 'typos', kind: 'form', apply: typos },
  { name: 'zero-width', kind: 'form', apply: (text) => text.replace(/(\w)(?=\w)/g, '$1\u200b') },
  {
    name: 'look-alikes',
    kind: 'form',
    apply: (text) => text.replace(/[A-Za-z]/g, (letter) => LOOK_ALIKES[letter] ?? letter),
  },
  { name: 'full width', kind: 'form', apply: fullwidth },
  { name: 'decomposed', kind: 'form', apply: (text) => text.normalize('NFD') },
  { name: 'politeness', kind: 'padding', apply: (text) => `${text}\n\nPlease answer. Thanks!` },
  {
    name: 'a role before',
    kind: 'padding',
    apply: (text) => `You are a helpful assistant.\n\n${text}`,
  },
  { name: '500 words after', kind: 'padding', apply: (text) => `${text}\n\n${NEUTRAL}` },
  { name: '500 words before', kind: 'padding', apply: (text) => `${NEUTRAL}\n\n${text}` },
  {
    name: 'ten times',
    kind: 'padding',
    apply: (text) => Array.from({ length: 10 }, () => text).join('\n\n'),
  },
]

/** A fixed text after every prompt. */
export const suffixed = (name: string, suffix: string): Perturbation => ({
  name,
  kind: 'attack',
  apply: (text) => `${text}\n\n${suffix}`,
})

/** A stored prompt with its last user turn changed. */
export function perturbed(prompt: string, row: number, { apply }: Perturbation): string {
  const { turns } = readTranscript(prompt)
  const at = turns.findLastIndex(({ role }) => role === 'user')
  if (at < 0) return prompt
  const { tools, context } = promptFields(prompt)
  const changed = turns.map(({ role, text }, i) => ({
    role,
    content: i === at ? apply(text, row) : text,
  }))
  return transcript(changed, undefined, tools, context)
}
