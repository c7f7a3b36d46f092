import type { MediaPart, MediaSource } from './form.ts'
import { UntranslatableRequest } from './form.ts'

/** Other names of a media type, and what providers call it. */
const ALIASES: Readonly<Record<string, string>> = {
  'image/jpg': 'image/jpeg',
  'image/pjpeg': 'image/jpeg',
  'image/jfif': 'image/jpeg',
  'image/x-png': 'image/png',
  'image/apng': 'image/png',
  'audio/x-wav': 'audio/wav',
  'audio/wave': 'audio/wav',
  'audio/mp3': 'audio/mpeg',
  'application/x-pdf': 'application/pdf',
}

/** How base64 of these types begins: what the bytes are counts for more than what the client calls them. */
const BEGINNINGS: readonly (readonly [beginning: string, mediaType: string])[] = [
  ['iVBORw0KGgo', 'image/png'],
  ['/9j/', 'image/jpeg'],
  ['R0lGOD', 'image/gif'],
  ['UklGR', 'image/webp'],
  ['JVBERi0', 'application/pdf'],
]

/**
 * The source that a URL of a chat body stands for. Data URIs (RFC 2397) may have a media type in any case,
 * parameters, and data that is percent-encoded instead of base64.
 *
 * @param where the field that held it, for errors
 * @throws UntranslatableRequest if it is neither an http or https address nor a data URI
 */
export function sourceOfUrl(url: string, where: string): MediaSource {
  const trimmed = url.trim()
  if (/^https?:\/\//i.test(trimmed)) return { at: 'url', url: trimmed }
  // its data may be megabytes: only what is before it is matched
  const comma = trimmed.indexOf(',')
  const head = /^data:(.*?)(;\s*base64)?$/is.exec(comma < 0 ? '' : trimmed.slice(0, comma))
  if (!head) {
    const shown = trimmed.length > 40 ? `${trimmed.slice(0, 40)}...` : trimmed
    throw new UntranslatableRequest(
      `${where}: expected an http or https address or a data URI, got ${shown}`,
      where,
    )
  }
  const [, type = '', encoding] = head
  const data = trimmed.slice(comma + 1)
  const base64 =
    encoding === undefined
      ? Buffer.from(decoded(data, where), 'utf8').toString('base64')
      : withoutSpaces(data.includes('%') ? data.replace(/%[0-9a-f]{2}/gi, unescaped) : data)
  return inline(type, base64)
}

/** White space of ASCII, which base64 is wrapped with: searched one by one, as that takes a tenth of the time. */
const SPACES = [' ', '\n', '\r', '\t', '\f', '\v']

const withoutSpaces = (text: string): string =>
  SPACES.some((space) => text.includes(space)) ? text.replace(/\s/g, '') : text

const unescaped = (sequence: string): string => decodeURIComponent(sequence)

function decoded(data: string, where: string): string {
  try {
    return decodeURIComponent(data)
  } catch {
    throw new UntranslatableRequest(`${where}: a data URI that is not percent-encoded`, where)
  }
}

/** Inline data under the media type that its bytes have, where they tell, else the one that was stated. */
export function inline(type: string, data: string): MediaSource {
  const stated = type.split(';')[0]!.trim().toLowerCase()
  const found = BEGINNINGS.find(([beginning]) => data.startsWith(beginning))?.[1]
  const known = ALIASES[stated] ?? stated
  // WebP shares its beginning with WAV and AVI
  const mediaType = found === 'image/webp' && !known.startsWith('image/') ? known : (found ?? known)
  return { at: 'inline', mediaType: mediaType || 'text/plain', data }
}

/** The URL that a source has in a chat body. */
export function urlOfSource(source: MediaSource): string {
  if (source.at === 'inline') return `data:${source.mediaType};base64,${source.data}`
  return source.at === 'url' ? source.url : source.id
}

/** The kind of part that inline data of this type is. */
export const kindOf = (mediaType: string): MediaPart['kind'] =>
  mediaType.startsWith('image/') ? 'image' : mediaType.startsWith('audio/') ? 'audio' : 'file'
