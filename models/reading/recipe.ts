import { createHash } from 'node:crypto'
import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'
import { framed } from '../encoders/context.ts'
import { cutText } from '../encoders/cut.ts'
import { conversationFeatures } from './conversation.ts'
import { normalForm } from './normal-form.ts'
import type { Conversation, ToolDefinition, Turn } from './transcript.ts'
import { isConversation, readTranscript, toolNames } from './transcript.ts'

/**
 * Text that a program puts into user turns, between two literal marks, such as the reminders and file lists
 * of coding agents. `inside` keeps only what stands between the marks, for programs that mark the question.
 */
export const Envelope = Type.Object(
  {
    start: Type.String({ minLength: 1, maxLength: 200 }),
    end: Type.String({ minLength: 1, maxLength: 200 }),
    keep: Type.Optional(Type.Union([Type.Literal('outside'), Type.Literal('inside')])),
  },
  { additionalProperties: false },
)
export type Envelope = Type.Static<typeof Envelope>

/**
 * A key of declared context, and how it is read where its values do not say: `tier`, `size:number`,
 * `version:category`.
 */
export const ContextKey = Type.String({ pattern: '^[^\\s,:=]{1,100}(:number|:category)?$' })

const Characters = Type.Integer({ minimum: 1, maximum: 1_000_000 })

/**
 * Which parts of a conversation become the text that a router reads; part of the bundle. The same recipe is
 * applied to the logs it is trained on and to the requests it routes.
 */
export const Recipe = Type.Object(
  {
    name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$' }),
    /** the last user turns that are read, with what stands between them */
    user_turns: Type.Union([Type.Integer({ minimum: 1, maximum: 10_000 }), Type.Literal('all')]),
    /** assistant turns: none, the last one, or all that stand between or after the user turns that are read */
    assistant: Type.Union([Type.Literal('none'), Type.Literal('last'), Type.Literal('all')]),
    /** system prompt (also `developer`): not read, one word that differs between prompts, whole, or its first n characters */
    system: Type.Union([
      Type.Literal('none'),
      Type.Literal('hash'),
      Type.Literal('whole'),
      Characters,
    ]),
    /** tool definitions: not read, their names, how many, or names and descriptions */
    tools: Type.Union([
      Type.Literal('none'),
      Type.Literal('names'),
      Type.Literal('count'),
      Type.Literal('descriptions'),
    ]),
    /** results of tools among the turns that are read: not read, how many, or whole */
    tool_results: Type.Union([Type.Literal('none'), Type.Literal('count'), Type.Literal('whole')]),
    /** longest text of one turn; the middle of a longer one is left out */
    turn_characters: Type.Optional(Characters),
    /** longest text in total; the oldest turns are left out first */
    total_characters: Type.Optional(Characters),
    /** taken off user turns, in order */
    envelopes: Type.Array(Envelope, { maxItems: 200 }),
    /** text is read as it looks (`normalForm`): look-alike letters, invisible characters and Unicode forms do not count */
    normalise: Type.Optional(Type.Literal('unicode')),
    /** passages that are worded like no training prompt are left out of what is encoded (`familiar`), or read */
    unfamiliar: Type.Optional(Type.Union([Type.Literal('skip'), Type.Literal('read')])),
    /** keys of declared context (`metadata` of a request, columns of a log) that become features */
    context: Type.Optional(
      Type.Array(ContextKey, { minItems: 1, maxItems: 50, uniqueItems: true }),
    ),
    /** declared categories also change what length, digits and other plain features of the text mean */
    interactions: Type.Optional(Type.Literal('plain')),
    /** features of the conversation (`CONVERSATION_FEATURES`) beside its text */
    features: Type.Optional(Type.Literal('conversation')),
  },
  { additionalProperties: false },
)
export type Recipe = Type.Static<typeof Recipe>

/** Reads a stored prompt (see `transcript`) as the text that is encoded. */
export type PromptReader = (prompt: string) => string

const tag = (name: string, keep?: 'inside'): Envelope => ({
  start: `<${name}>`,
  end: `</${name}>`,
  ...(keep && { keep }),
})

/** What coding agents put around a user's words. */
export const AGENT_ENVELOPES: Envelope[] = [
  ...['user_query', 'userRequest', 'user-request', 'user_message'].map((name) =>
    tag(name, 'inside'),
  ),
  ...['system-reminder', 'system_reminder', 'environment_details', 'environment_context'],
  ...['user_instructions', 'reminderInstructions', 'attachments', 'attached_files'],
  ...['additional_data', 'open_and_recently_viewed_files', 'editorContext', 'workspace_info'],
  ...['local-command-stdout', 'local-command-caveat', 'command-message', 'file_contents'],
].map((one) => (typeof one === 'string' ? tag(one) : one))

const BASE = {
  assistant: 'none',
  system: 'none',
  tools: 'names',
  tool_results: 'none',
  envelopes: AGENT_ENVELOPES,
  normalise: 'unicode',
  unfamiliar: 'skip',
} satisfies Omit<Recipe, 'name' | 'user_turns'>

/** The recipes that are known by name, the cheapest to read first; `auto` chooses among them. */
export const RECIPES: readonly Recipe[] = [
  { ...BASE, name: 'last', user_turns: 1 },
  { ...BASE, name: 'user', user_turns: 'all', turn_characters: 4000, total_characters: 32_000 },
  {
    ...BASE,
    name: 'recent',
    user_turns: 3,
    assistant: 'last',
    turn_characters: 4000,
  },
  {
    ...BASE,
    name: 'conversation',
    user_turns: 'all',
    assistant: 'all',
    turn_characters: 4000,
    total_characters: 32_000,
  },
  {
    ...BASE,
    name: 'everything',
    user_turns: 'all',
    assistant: 'all',
    system: 'whole',
    tools: 'descriptions',
    tool_results: 'whole',
    turn_characters: 4000,
    total_characters: 32_000,
  },
]

/** A recipe in words, after "reads". */
export function describeRecipe(recipe: Recipe): string {
  const { user_turns: turns, assistant, system, tools, tool_results: results } = recipe
  const parts = [
    turns === 'all'
      ? 'all user turns'
      : turns === 1
        ? 'the last user turn'
        : `the last ${turns} user turns`,
    ...(assistant === 'none' ? [] : [assistant === 'last' ? 'the last answer' : 'the answers']),
    ...(system === 'none'
      ? []
      : [SYSTEM_WORDS[system] ?? `the system prompt’s first ${system} characters`]),
    ...(tools === 'none' ? [] : [tools === 'names' ? 'names of tools' : `the tools’ ${tools}`]),
    ...(results === 'none'
      ? []
      : [results === 'count' ? 'the number of tool results' : 'tool results']),
  ]
  const beside = [
    ...(recipe.features ? ['features of the conversation'] : []),
    ...(recipe.context
      ? [
          `declared ${contextKeys(recipe).join(', ')}${recipe.interactions ? ' and its interactions with the text' : ''}`,
        ]
      : []),
  ]
  return `${[...parts, ...beside].join(', ')} (recipe ${recipe.name})`
}

/** Whether a recipe's readings have fields beside their text (see `framed`). */
export const readsFields = (recipe: Recipe | undefined): recipe is Recipe =>
  recipe?.context !== undefined || recipe?.features !== undefined

/** The names of the keys of declared context that a recipe reads. */
export const contextKeys = (recipe: Recipe | undefined): readonly string[] =>
  recipe?.context?.map(contextName) ?? []

/** The name in a key of declared context: `size` of `size:number`. */
export const contextName = (key: string): string => key.replace(/:.*/, '')

const SYSTEM_WORDS: Readonly<Record<string | number, string>> = {
  whole: 'the system prompt',
  hash: 'which system prompt it is',
}

/** The length of a stored prompt as it is billed: of its whole text, whatever a recipe reads of it. */
export const promptCharacters = (prompt: string): number => wholeText(prompt).length

/**
 * The known recipe of that name, or `auto`.
 *
 * @throws option_invalid
 */
export function knownRecipe(name: string, option: string): Recipe | 'auto' {
  if (name === 'auto') return name
  const known = RECIPES.find((recipe) => recipe.name === name)
  if (known) return known
  const expected = `auto or one of ${RECIPES.map((recipe) => recipe.name).join(', ')}`
  throw new WeirError('option_invalid', { option, expected, got: name })
}

/**
 * The reader of a recipe. Without one, prompts are read as bundles before recipes read them: tool names,
 * system prompt and all turns of every role.
 */
export function promptReader(recipe: Recipe | undefined): PromptReader {
  if (!recipe) return (prompt) => (isConversation(prompt) ? wholeText(prompt) : prompt)
  const strip = stripper(recipe.envelopes)
  const plain = (prompt: string): string => cut(strip(prompt), recipe.turn_characters)
  // a conversation of which nothing is to be read is read whole: an empty text says nothing
  const seen = recipe.normalise ? normalForm : (text: string): string => text
  const orWhole = (text: string, prompt: string): string =>
    seen(/\S/.test(text) ? text : wholeText(prompt))
  if (!readsFields(recipe)) {
    return (prompt) =>
      orWhole(
        isConversation(prompt) ? rendered(readTranscript(prompt), recipe, strip) : plain(prompt),
        prompt,
      )
  }
  const keys = contextKeys(recipe)
  return (prompt) => {
    const conversation = readTranscript(prompt)
    const text = isConversation(prompt) ? rendered(conversation, recipe, strip) : plain(prompt)
    const { context } = conversation
    const fields: (string | number)[] = keys.map((key) =>
      context && Object.hasOwn(context, key) ? String(context[key]) : '',
    )
    if (recipe.features) fields.push(...conversationFeatures(conversation))
    return framed(fields, orWhole(text, prompt))
  }
}

/**
 * A conversation as one text with every turn, each preceded by its role, and the names of the tools before
 * everything else. How bundles without a recipe read it, and how reports show it.
 */
export function wholeText(prompt: string): string {
  if (!isConversation(prompt)) return prompt
  const { turns, tools } = readTranscript(prompt)
  const names = toolNames(tools)
  const text = spoken(turns)
  return names.length > 0 ? `tools: ${names.join(', ')}\n\n${text}` : text
}

function spoken(turns: readonly Turn[]): string {
  const [first, second] = turns
  if (turns.length === 1 && first?.role === 'user') return first.text
  if (turns.length === 2 && first?.role === 'system' && second?.role === 'user') {
    return `system: ${first.text}\n\n${second.text}`
  }
  return turns.map((turn) => `${turn.role}: ${turn.text}`).join('\n\n')
}

const isSystem = ({ role }: Turn): boolean => role === 'system' || role === 'developer'
const isTool = ({ role }: Turn): boolean => role === 'tool' || role === 'function'

function rendered(
  { turns, tools }: Conversation,
  recipe: Recipe,
  strip: (text: string) => string,
): string {
  const read = readTurns(turns, recipe, strip)
  const parts = [
    toolsLine(tools, recipe.tools),
    systemLine(turns, recipe.system),
    resultsLine(turns, recipe.tool_results),
    spoken(read),
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

/** The turns that the recipe reads, oldest first, within its bounds. */
function readTurns(
  turns: readonly Turn[],
  recipe: Recipe,
  strip: (text: string) => string,
): Turn[] {
  const read: Turn[] = []
  let users = 0
  let assistants = 0
  let room = recipe.total_characters ?? Number.POSITIVE_INFINITY
  for (let i = turns.length - 1; i >= 0 && room > 0; i--) {
    const turn = turns[i]!
    if (isSystem(turn)) continue
    let { text } = turn
    if (isTool(turn)) {
      if (recipe.tool_results !== 'whole') continue
    } else if (turn.role === 'user') {
      if (recipe.user_turns !== 'all' && users === recipe.user_turns) break
      text = strip(text)
      // a turn of which only envelopes remain, such as a reminder, asks nothing
      if (/\S/.test(text)) users++
    } else {
      if (recipe.assistant === 'none') continue
      if (recipe.assistant === 'last' && assistants > 0) continue
      assistants++
    }
    text = cut(text, Math.min(recipe.turn_characters ?? room, room))
    room -= text.length
    if (/\S/.test(text)) read.push({ role: turn.role, text })
  }
  return read.reverse()
}

function toolsLine(tools: readonly ToolDefinition[], how: Recipe['tools']): string {
  if (tools.length === 0 || how === 'none') return ''
  if (how === 'count') return `tools: ${tools.length}`
  if (how === 'names') return `tools: ${toolNames(tools).join(', ')}`
  const described = tools.map((tool) => {
    const { name, description } = (tool.function ?? tool) as {
      name?: unknown
      description?: unknown
    }
    return [name, description].filter((one) => typeof one === 'string').join(': ')
  })
  return `tools: ${described.join('\n')}`
}

function systemLine(turns: readonly Turn[], how: Recipe['system']): string {
  if (how === 'none') return ''
  const text = turns
    .filter(isSystem)
    .map((turn) => turn.text)
    .join('\n\n')
  if (text === '') return ''
  if (how === 'whole') return `system: ${text}`
  if (how === 'hash') {
    return `system${createHash('sha256').update(text).digest('hex').slice(0, 12)}`
  }
  return `system: ${text.slice(0, how)}`
}

function resultsLine(turns: readonly Turn[], how: Recipe['tool_results']): string {
  if (how !== 'count') return ''
  const count = turns.filter(isTool).length
  return count > 0 ? `tool results: ${count}` : ''
}

/** The start and the end of a text that is longer than `most` characters. */
const cut = (text: string, most: number | undefined): string =>
  most === undefined ? text : cutText(text, most).kept

/**
 * Takes envelopes off a text, in time linear in it for each envelope; an empty text if it is nothing else. A
 * start without an end stays.
 */
function stripper(envelopes: readonly Envelope[]): (text: string) => string {
  if (envelopes.length === 0) return (text) => text
  const first = envelopes[0]!.start[0]!
  // most texts hold no mark at all
  const common = envelopes.every(({ start }) => start.startsWith(first)) ? first : undefined
  return (text) => {
    if (common !== undefined && !text.includes(common)) return text
    let left = text
    for (const envelope of envelopes) left = withoutEnvelope(left, envelope)
    return left === text ? text : left.trim()
  }
}

function withoutEnvelope(text: string, { start, end, keep }: Envelope): string {
  const inside: string[] = []
  let outside = ''
  let from = 0
  for (let at = text.indexOf(start); at >= 0; at = text.indexOf(start, from)) {
    const stop = text.indexOf(end, at + start.length)
    if (stop < 0) break
    inside.push(text.slice(at + start.length, stop))
    outside += text.slice(from, at)
    from = stop + end.length
  }
  if (inside.length === 0) return text
  return keep === 'inside' ? inside.join('\n') : outside + text.slice(from)
}
