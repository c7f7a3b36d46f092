/** Characters without width, marks of direction, variation selectors and tags: nothing that is seen. */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/gu

/** Cyrillic, Greek and Armenian letters that look like a Latin one (Unicode's confusables), and that letter. */
const LOOKS: ReadonlyMap<string, string> = new Map(
  [
    ...[
      'аa',
      'сc',
      'еe',
      'һh',
      'іi',
      'јj',
      'ӏl',
      'оo',
      'рp',
      'ԛq',
      'ѕs',
      'ԝw',
      'хx',
      'уy',
      'ԁd',
      'ѵv',
    ],
    ...[
      'АA',
      'ВB',
      'СC',
      'ЕE',
      'НH',
      'ІI',
      'ЈJ',
      'КK',
      'МM',
      'ОO',
      'РP',
      'ЅS',
      'ТT',
      'ХX',
      'ҮY',
      'ԌG',
    ],
    ...['αa', 'οo', 'νv', 'ρp', 'ιi', 'υu', 'κk', 'ϲc', 'ϳj'],
    ...['ΑA', 'ΒB', 'ΕE', 'ΖZ', 'ΗH', 'ΙI', 'ΚK', 'ΜM', 'ΝN', 'ΟO', 'ΡP', 'ΤT', 'ΥY', 'ΧX'],
    ...['օo', 'սu', 'հh', 'ոn', 'ցg', 'քf'],
  ].map((pair) => [pair[0]!, pair[1]!]),
)
const OTHER_LETTERS = /[\u0370-\u058f]/g
const WORD = /[\p{L}\p{M}]+/gu

/** Shorter texts hold no long repetition. */
const REPEATS_FROM = 600
/** Longer texts are not searched for repetition, so that a hostile one costs no more time than others. */
const REPEATS_TO = 65_536
/** A sentence or line of fewer characters may well stand twice. */
const REPEATED = 24

/** What divides a sentence or line from the next, after the mark that ends a sentence. */
const DIVIDER = /[.!?]\s+|\n+/g

/** A text without sentences and lines that stood in it before, however often they are pasted. */
function withoutRepeats(text: string): string {
  if (text.length < REPEATS_FROM || text.length > REPEATS_TO) return text
  const seen = new Set<string>()
  let kept = ''
  /** where the text starts that is kept and not yet in `kept` */
  let keptFrom = 0
  let repeating = false
  DIVIDER.lastIndex = 0
  for (let from = 0, to = 0; from <= text.length; from = to) {
    const divider = DIVIDER.exec(text)
    const end = divider ? divider.index + Number(divider[0][0] !== '\n') : text.length
    to = divider ? DIVIDER.lastIndex : text.length + 1
    const part = text.slice(from, end)
    // a short one, such as an option, only counts as pasted again among others that are
    repeating = seen.has(part) && (repeating || part.length >= REPEATED)
    seen.add(part)
    if (repeating) {
      kept += text.slice(keptFrom, from)
      keptFrom = to
    }
  }
  return keptFrom === 0 ? text : (kept + text.slice(keptFrom)).trimEnd()
}

/** Text in capitals as it would be written otherwise: shouting is not another question. */
const lowered = (text: string): string =>
  !/[a-z]{3}/.test(text) && /[A-Z]{4}/.test(text)
    ? text.toLowerCase().replace(/(^|[.!?\n]\s*)([a-z])/g, (found) => found.toUpperCase())
    : text

/**
 * A text as it looks: Unicode's compatibility form (NFKC), without invisible characters, and with letters of other
 * alphabets that look Latin as Latin ones, where they stand for them: in words that mix alphabets, and in the whole
 * text if hardly any letter of those alphabets looks different; text in capitals in small letters; and sentences
 * and lines that are pasted again left out. Most prompts are returned as they are.
 */
export function normalForm(given: string): string {
  const text = lowered(withoutRepeats(given))
  // most prompts: one pass of a compiled expression
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  if (!/[^\x00-\x7f]/.test(text)) return text
  const plain = text.normalize('NFKC').replace(INVISIBLE, '')
  let [others, alike] = [0, 0]
  for (let i = 0; i < plain.length; i++) {
    const unit = plain.charCodeAt(i)
    if (unit < 0x370 || unit > 0x58f) continue
    others++
    if (LOOKS.has(plain[i]!)) alike++
  }
  if (alike === 0) return plain
  const posing = alike > 4 * (others - alike) && /[A-Za-z]/.test(plain)
  return plain.replace(WORD, (word) =>
    posing || /[A-Za-z]/.test(word)
      ? word.replace(OTHER_LETTERS, (letter) => LOOKS.get(letter) ?? letter)
      : word,
  )
}
