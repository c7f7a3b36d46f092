/**
 * Patterns removed from a prompt before it is stored as `redacted`: what identifies a person or grants
 * access. Every pattern is a sequence of runs of one character class, without nested repeats, and reads a
 * long run from only one position, so its time grows only with the text: `test/records/redaction.test.ts` has
 * the worst cases of each.
 */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]{1,40}-----[^-]{1,8192}-----END [A-Z ]{1,40}-----/g, '[key]'],
  // read only from the start of its run: starting at every `eyJ` would read a run of them again and again
  [/(?<![\w-])(?=([\w-]*?)\beyJ[\w-]{8})[\w-]+\.[\w-]{8,4096}\.[\w-]{8,4096}/g, '$1[token]'],
  [/\b(?:sk|pk|rk|ghp|gho|ghs|xox[abps]|AKIA|AIza)[-_]?[A-Za-z0-9_-]{16,200}/g, '[key]'],
  [/\bBearer\s{1,4}[\w.~+/-]{8,4096}=*/gi, 'Bearer [token]'],
  [/\b[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}\b/g, '[email]'],
  [/\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b/g, '[account]'],
  [/\b\d(?:[ -]?\d){12,18}\b/g, '[number]'],
  [/(?<![\w.])(?:\+\d{1,3}[ .-]?)?\(?\d{2,4}\)?[ .-]?\d{3,4}[ .-]?\d{3,4}(?![\w.])/g, '[phone]'],
  [/\b(?:\d{1,3}\.){3}\d{1,3}\b/g, '[address]'],
]

/** The text with e-mail addresses, telephone, card and account numbers, IP addresses, keys and tokens replaced. */
export function redact(text: string): string {
  let out = text
  for (const [pattern, name] of PATTERNS) out = out.replace(pattern, name)
  return out
}

/** Characters of a text in a line of the log. A longer one is logged as its beginning and its end. */
const MOST_LOGGED = 200_000
/** More characters than any pattern matches: so near a cut, part of a match might be left. */
const MARGIN = 10_000

/**
 * A text of a request for the log, and whether it was cut. One of 64 MB would otherwise hold other requests for
 * seconds; a prompt that is too long for an encoder loses its middle as well.
 */
export function loggedText(
  text: string,
  holds: 'redacted' | 'full',
): { readonly text: string; readonly cut: boolean } {
  const kept = (part: string): string => (holds === 'full' ? part : redact(part))
  if (text.length <= MOST_LOGGED) return { text: kept(text), cut: false }
  const half = MOST_LOGGED / 2
  const head = kept(text.slice(0, half)).slice(0, -MARGIN)
  const tail = kept(text.slice(-half)).slice(MARGIN)
  return { text: `${head}\n…\n${tail}`, cut: true }
}
