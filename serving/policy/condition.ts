import Type from 'typebox'
import { compilePattern, type Pattern } from '../../core/pattern.ts'
import type { GatewayRequest } from '../gateway/contracts.ts'
import type { Traits } from '../gateway/traits.ts'
import { HOUSEKEEPING, housekeepingOf, SHORT_HOUSEKEEPING } from './housekeeping.ts'
import { normalizedText } from './request-texts.ts'

const Scalar = Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()])
const Scalars = Type.Union([Scalar, Type.Array(Scalar, { minItems: 1 })])

/** The condition on a metadata field: a value, one of a list, or all of these comparisons. */
export const MetadataTest = Type.Union([
  Scalars,
  Type.Object(
    {
      gt: Type.Optional(Type.Number()),
      gte: Type.Optional(Type.Number()),
      lt: Type.Optional(Type.Number()),
      lte: Type.Optional(Type.Number()),
      /** none of these; an absent field passes */
      not: Type.Optional(Scalars),
      exists: Type.Optional(Type.Boolean()),
    },
    { additionalProperties: false, minProperties: 1 },
  ),
])
type MetadataTest = Type.Static<typeof MetadataTest>

/** Whether the request's field passes; if it is a list, one entry is enough. */
function passesTest(test: MetadataTest, given: unknown): boolean {
  if (typeof test !== 'object' || test === null || Array.isArray(test)) return isOneOf(test, given)
  const { gt, gte, lt, lte, not, exists } = test
  const bounded = gt !== undefined || gte !== undefined || lt !== undefined || lte !== undefined
  // a number in quotes is not a number
  if (bounded && typeof given !== 'number') return false
  const number = given as number
  return (
    (gt === undefined || number > gt) &&
    (gte === undefined || number >= gte) &&
    (lt === undefined || number < lt) &&
    (lte === undefined || number <= lte) &&
    (not === undefined || !isOneOf(not, given)) &&
    (exists === undefined || exists === (given !== undefined))
  )
}

function isOneOf(wanted: Type.Static<typeof Scalars>, given: unknown): boolean {
  const all: unknown[] = Array.isArray(wanted) ? wanted : [wanted]
  return Array.isArray(given) ? given.some((one) => all.includes(one)) : all.includes(given)
}

const Words = Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })
const closed = { additionalProperties: false } as const

/** A rule's condition on a request: every given field must hold. */
export const Condition = Type.Object(
  {
    /** whole words or phrases of the last user message, in any case; one is enough */
    keywords: Type.Optional(Words),
    /** RE2 patterns searched in the last user message, in linear time; one is enough */
    regex: Type.Optional(Words),
    /** `metadata` of the request: the value, one of a list, or `{gt, gte, lt, lte, not, exists}` */
    metadata: Type.Optional(Type.Record(Type.String(), MetadataTest)),
    /** one of the request's tags (`metadata.tags`, or the header x-weir-tags) */
    tags: Type.Optional(Words),
    /** the tier of the key, from `keys` */
    tier: Type.Optional(Words),
    /** names of API keys */
    key: Type.Optional(Words),
    /** of the whole conversation */
    characters: Type.Optional(
      Type.Object(
        {
          min: Type.Optional(Type.Integer({ minimum: 0 })),
          max: Type.Optional(Type.Integer({ minimum: 0 })),
        },
        closed,
      ),
    ),
    tools: Type.Optional(Type.Boolean()),
    /**
     * what agents and chat applications ask for themselves: titles, suggestions, checks (true), or a list of kinds,
     * of which compaction is one
     */
    housekeeping: Type.Optional(
      Type.Union([Type.Literal(true), Type.Array(Type.Enum([...HOUSEKEEPING]), { minItems: 1 })]),
    ),
    images: Type.Optional(Type.Boolean()),
    /** ISO 639-1 codes of the last user message's language, if it is long enough to detect */
    language: Type.Optional(Words),
    /**
     * share of the requests that match everything else: by session, else key, else request, always the same
     * ones
     */
    percent: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 100 })),
  },
  { ...closed, minProperties: 1 },
)
export type Condition = Type.Static<typeof Condition>

/** Letters of scripts whose words are not parted by spaces. */
const UNPARTED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}\p{Script=Bopomofo}\u30fc]/u
const HANGUL = /\p{Script=Hangul}/u
const PART_OF_WORD = /[\p{L}\p{N}\p{M}]/u

/** What a character is to the words around it. `none`: no part of a word, or of a script without spaces. */
function wordKind(character: string): 'none' | 'hangul' | 'letter' {
  if (character === '' || !PART_OF_WORD.test(character) || UNPARTED.test(character)) return 'none'
  return HANGUL.test(character) ? 'hangul' : 'letter'
}

/**
 * Whether a question contains one of the words or phrases: whole, in any case. Takes time linear in the
 * question.
 */
function compileKeywords(keywords: readonly string[]): (traits: Traits) => boolean {
  const wanted = keywords.map((word) => normalizedText(word).toLowerCase())
  return (traits) => {
    const text = normalOf(traits).toLowerCase()
    return wanted.some((word) => hasWord(text, word))
  }
}

/**
 * Whether the text has the word as a whole. Between letters of one alphabet a word ends at a space or a
 * mark; Chinese, Japanese, Thai and their like have none, a change of the alphabet ends a word, and Korean
 * words may have particles behind them.
 */
function hasWord(text: string, word: string): boolean {
  const first = wordKind(String.fromCodePoint(word.codePointAt(0)!))
  const last = wordKind(characterBefore(word, word.length))
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const before = first === 'none' ? 'none' : wordKind(characterBefore(text, at))
    const end = at + word.length
    const after = last === 'letter' && end < text.length ? text.codePointAt(end)! : undefined
    const joined = after !== undefined && wordKind(String.fromCodePoint(after)) === 'letter'
    if ((before === 'none' || before !== first) && !joined) return true
  }
  return false
}

/** The character before a position; letters beyond 16 bits are two units. */
function characterBefore(text: string, at: number): string {
  const unit = text.charCodeAt(at - 1)
  const low = unit >= 0xdc00 && unit < 0xe000
  return at > 0 ? text.slice(low ? at - 2 : at - 1, at) : ''
}

/** Cached for questions in progress: several rules read the same one. */
const normals = new WeakMap<Traits, string>()

function normalOf(traits: Traits): string {
  let text = normals.get(traits)
  if (text === undefined) {
    text = normalizedText(traits.question)
    normals.set(traits, text)
  }
  return text
}

/** The original or the normalised text: full-width letters do not bypass a pattern. */
function hasPattern(pattern: Pattern, traits: Traits): boolean {
  const normal = normalOf(traits)
  return pattern.test(traits.question) || (normal !== traits.question && pattern.test(normal))
}

/** ISO 639-1 code of a text's language; undefined if the text is too short or too mixed to tell. */
export type LanguageOf = (text: string) => string | undefined

/** Letters that are read: enough to be sure, and a bound on the cost of a request. */
const READ = 2000

/** Opens the detector: 60 languages by n-grams, in about 0.3 seconds and some 100 MB. */
export async function openLanguageOf(): Promise<LanguageOf> {
  const { eld } = await import('eld/extrasmall')
  return (text) => {
    const found = eld.detect(text.slice(0, READ))
    return found.isReliable() ? found.language : undefined
  }
}

/** The codes it supports. */
export const LANGUAGES =
  'am ar az be bg bn ca cs da de el en es et eu fa fi fr gu he hi hr hu hy is it ja ka kn ko ku lo lt lv ml mr ms nl no or pa pl pt ro ru sk sl sq sr sv ta te th tl tr uk ur vi yo zh'.split(
    ' ',
  )

/** The parts of a request that conditions read. */
interface ConditionState {
  readonly request: GatewayRequest
  readonly traits: Traits
  /** whether the request falls into this share (0 to 1) of the named split */
  draw(split: string, share: number): boolean
}

export type Holds = (state: ConditionState) => boolean

export interface ConditionTools {
  readonly keys?: Readonly<Record<string, { readonly tier?: string }>> | undefined
  /** required if a condition asks for the language */
  readonly languageOf?: LanguageOf | undefined
}

/**
 * Every field of the condition must hold; if it is a list, one entry is enough.
 *
 * @param name of the rule, unique in the policy: percentages are drawn by it
 */
export function compileCondition(when: Condition, name: string, tools: ConditionTools): Holds {
  const { keys = {}, languageOf } = tools
  const patterns = when.regex?.map(compilePattern)
  const hasKeyword = when.keywords && compileKeywords(when.keywords)
  const { characters, metadata, tags, tier, key, tools: calls, images, language, percent } = when
  const kinds = when.housekeeping === true ? SHORT_HOUSEKEEPING : when.housekeeping
  if (language && !languageOf)
    throw new Error('the policy asks for languages, and nothing tells them')
  return ({ request, traits, draw }) => {
    const caller = request.caller.name
    const given = request.hints.metadata ?? {}
    return (
      (!hasKeyword || hasKeyword(traits)) &&
      (!patterns || patterns.some((pattern) => hasPattern(pattern, traits))) &&
      (!tags || tags.some((tag) => traits.tags.includes(tag))) &&
      (!tier || tier.includes(keys[caller]?.tier ?? '')) &&
      (!key || key.includes(caller)) &&
      (!characters ||
        (traits.characters >= (characters.min ?? 0) &&
          traits.characters <= (characters.max ?? Infinity))) &&
      (calls === undefined || calls === traits.tools) &&
      (images === undefined || images === traits.images) &&
      (!kinds || isOneOf([...kinds], housekeepingOf(request.body))) &&
      Object.entries(metadata ?? {}).every(([field, test]) =>
        passesTest(test, Object.hasOwn(given, field) ? given[field] : undefined),
      ) &&
      (!language || language.includes(languageOf?.(traits.question) ?? '')) &&
      // last, so that only requests that match everything else are drawn
      (percent === undefined || draw(name, percent / 100))
    )
  }
}
