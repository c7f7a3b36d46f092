/** The contents of a request's body: every text in it, and whether it has parts that cannot be read. */
export interface RequestTexts {
  /** in the body's order: contents, arguments, schemas, names, ids, field names; also files that are text */
  readonly texts: readonly string[]
  /** contents put together without a break where there are several: a word may be split over parts or messages */
  readonly joined: readonly string[]
  readonly images: boolean
  /** images, audio and other files, token ids, or a reference to what the provider keeps */
  readonly unreadable: boolean
}

/** Words of the protocol, which no client chose: field names, roles and types. */
const PROTOCOL = new Set(
  `messages role content type text name model stream user system developer assistant tool function
  tools tool_choice tool_calls tool_call_id call_id item_id id arguments parameters description strict
  input output instructions prompt response_format json_schema schema properties required
  additionalProperties items enum anyOf oneOf allOf $ref $defs const default format title
  object string number integer boolean array null minimum maximum minItems maxItems minLength maxLength
  image_url url detail file file_data file_id filename input_audio data refusal audio
  input_text output_text input_image input_file input_image message function_call function_call_output
  reasoning effort summary metadata temperature top_p n seed stop logit_bias logprobs top_logprobs
  max_tokens max_completion_tokens max_output_tokens presence_penalty frequency_penalty
  stream_options include_usage parallel_tool_calls service_tier store previous_response_id conversation
  prompt_cache_key safety_identifier finish_reason encoding_format dimensions truncation include auto none
  low medium high json_object float base64 verbosity modalities prediction web_search_options`
    .split(/\s+/)
    .filter(Boolean),
)
/** Fields whose values come from a closed list, where the value is in `PROTOCOL`. */
const CLOSED_LISTS = new Set(['role', 'type', 'detail', 'format', 'tool_choice', 'encoding_format'])
/** Fields whose values are names: read, but never put together with what stands beside them. */
const NAMES = new Set([
  ...['role', 'type', 'name', 'id', 'tool_call_id', 'call_id', 'item_id', 'previous_response_id'],
  ...['user', 'safety_identifier', 'prompt_cache_key', 'service_tier', 'finish_reason', 'filename'],
])
/** Fields where upstreams take a file, as a URL or as base64. */
const FILES = new Set(['url', 'image_url', 'file_url', 'file_data', 'data'])
/** Fields that refer to texts which the provider keeps. */
const REFERENCES = new Set(['file_id', 'previous_response_id', 'conversation'])

/** Characters of a long text that are put together with its neighbours: more than any word has. */
const SEAM = 96
/** Base64 below this length is read as text: it cannot be told from a word. */
const FILE_LENGTH = 256

interface Waiting {
  readonly value: unknown
  readonly field: string
  readonly depth: number
}

/**
 * Every text of a body that goes upstream, whatever the endpoint. The top-level `model` alone is left out:
 * it must be the name of a model that is served. Takes time linear in the body.
 */
export function requestTexts(body: Readonly<Record<string, unknown>>): RequestTexts {
  const texts: string[] = []
  const spoken: { role: string; text: string }[] = []
  let role = ''
  let images = false
  let unreadable = false

  const readString = (text: string, field: string): void => {
    if (CLOSED_LISTS.has(field) && PROTOCOL.has(text)) return
    if (REFERENCES.has(field)) unreadable = true
    const file = FILES.has(field) ? readFile(text) : undefined
    if (file) {
      unreadable ||= file.unreadable
      texts.push(...file.texts)
      return
    }
    texts.push(text)
    if (!NAMES.has(field)) spoken.push({ role, text })
  }

  // a stack, not recursion: a deeply nested body must not overflow
  const waiting: Waiting[] = [{ value: body, field: '', depth: 0 }]
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { value, field, depth } = next
    if (typeof value === 'string') readString(value, field)
    // numbers at the top level are settings; deeper ones may be personal data
    else if (typeof value === 'number' && depth > 1) texts.push(String(value))
    else if (Array.isArray(value)) {
      if (value.length > 0 && typeof value[0] === 'number' && field !== 'enum') {
        // token ids
        unreadable ||= value.length > 1
        if (value.every((entry) => typeof entry === 'number')) {
          if (value.length < FILE_LENGTH) texts.push(...value.map(String))
          continue
        }
      }
      for (let i = value.length - 1; i >= 0; i--) {
        waiting.push({ value: value[i], field, depth: depth + 1 })
      }
    } else if (typeof value === 'object' && value !== null) {
      const { type, role: its } = value as { type?: unknown; role?: unknown }
      if (typeof its === 'string') role = its
      if (typeof type === 'string') {
        if (type.includes('image')) images = true
        if (/image|audio|video|file|document/.test(type)) unreadable = true
      }
      const entries = Object.entries(value)
      for (let i = entries.length - 1; i >= 0; i--) {
        const [name, inner] = entries[i]!
        if (depth === 0 && name === 'model') continue
        if (!PROTOCOL.has(name)) texts.push(name)
        waiting.push({ value: inner, field: name, depth: depth + 1 })
      }
    }
  }
  return { texts, joined: joinedTexts(spoken), images, unreadable }
}

/** All contents in their order, and those of each role, each put together without a break. */
function joinedTexts(spoken: readonly { role: string; text: string }[]): string[] {
  if (spoken.length < 2) return []
  const runs = new Map<string, string[]>()
  const all: string[] = []
  for (const { role, text } of spoken) {
    const ends = text.length <= 2 * SEAM ? text : `${text.slice(0, SEAM)}\n${text.slice(-SEAM)}`
    all.push(ends)
    const run = runs.get(role)
    if (run) run.push(ends)
    else runs.set(role, [ends])
  }
  const ofRoles = runs.size > 1 ? [...runs.values()].filter((run) => run.length > 1) : []
  return [all, ...ofRoles].map((run) => run.join(''))
}

/**
 * The content of a field for a file. A data URL of a text type is decoded and read; base64 of any other type
 * cannot be read. Undefined if it is not a file but text.
 */
function readFile(text: string): { texts: string[]; unreadable: boolean } | undefined {
  if (/^\s*https?:/i.test(text)) return { texts: [text], unreadable: true }
  const head = /^\s*data:([^,]{0,1000}),/i.exec(text)
  if (!head) {
    return text.length >= FILE_LENGTH && isBase64(text, 0)
      ? { texts: [], unreadable: true }
      : undefined
  }
  const type = head[1]!.trim().toLowerCase()
  const from = head[0].length
  const encoded = type.endsWith('base64') && isBase64(text, from)
  if (
    encoded &&
    !/^(text\/|application\/([\w.+-]*(json|xml|yaml|javascript|csv|x-sh)))|^;|^base64$/.test(type)
  ) {
    const short = text.length - from < FILE_LENGTH
    return { texts: [head[0], ...(short ? [text.slice(from)] : [])], unreadable: true }
  }
  if (encoded) {
    const content = Buffer.from(text.slice(from), 'base64').toString('utf8')
    return { texts: [head[0], content], unreadable: false }
  }
  return { texts: [text, ...percentDecoded(text)], unreadable: false }
}

function isBase64(text: string, from: number): boolean {
  return /^[\w+/=\s-]*$/.test(from === 0 ? text : text.slice(from))
}

function percentDecoded(text: string): string[] {
  if (!text.includes('%')) return []
  try {
    return [decodeURIComponent(text)]
  } catch {
    return []
  }
}

/**
 * A text as it is compared: compatibility characters such as full-width letters in their plain form (NFKC),
 * without characters that show nothing (default-ignorable), `\uXXXX` escapes of JSON within it undone. ASCII
 * without escapes, most of what comes, is returned as it is. Letters keep their case: compare without it.
 */
export function normalizedText(text: string): string {
  const plain = text.includes('\\u')
    ? text.replace(/\\u([0-9a-f]{4})/gi, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      )
    : text
  if (!NOT_ASCII.test(plain)) return plain
  const folded = plain.normalize('NFKC').replace(IGNORABLE, '')
  // letters may have been separated by the removed characters
  return folded.normalize('NFKC')
}

const NOT_ASCII = /[^\p{ASCII}]/u
const IGNORABLE = /\p{Default_Ignorable_Code_Point}+/gu
