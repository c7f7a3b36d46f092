import type { ChatTurn } from '../upstreams/upstream.ts'

/**
 * Requests that agents and chat applications make for themselves beside the user's own: titles, tags and follow-up
 * questions for their windows, checks of a command or of the connection, summaries of a long conversation. They are known by
 * the instructions that these programs send, as their public sources and requests had them in 2025 and 2026.
 */
export const HOUSEKEEPING = ['titles', 'suggestions', 'checks', 'compaction'] as const
export type Housekeeping = (typeof HOUSEKEEPING)[number]

/** Kinds that are short: a summary of a whole conversation is not, and an agent goes on from it. */
export const SHORT_HOUSEKEEPING: readonly Housekeeping[] = ['titles', 'suggestions', 'checks']

/** Characters of the instructions that are read: what a program asks for stands at their beginning. */
const READ = 1500

const PATTERNS: readonly (readonly [Housekeeping, RegExp])[] = [
  // Claude Code, opencode, Open WebUI, LibreChat, Continue, Cline
  ['titles', /\byou are a title generator\b/i],
  ['titles', /\bgenerate an? (concise|short|brief|succinct)[^.\n]{0,60}\b(title|heading)\b/i],
  [
    'titles',
    /\b(write|create|provide|suggest|reply with) an? [^.\n]{0,60}\b(title|topic name)\b[^.\n]{0,40}\b(conversation|chat|session|thread)\b/i,
  ],
  [
    'titles',
    /\btitle (for|that captures|summarizing) (the|this) (chat|conversation|coding session|session|thread)\b/i,
  ],
  ['titles', /\bsummarize this coding conversation in under \d+ characters\b/i],
  ['titles', /\banalyze if this message indicates a new conversation topic\b/i],
  ['suggestions', /\bgenerate 1-3 broad tags\b/i],
  ['suggestions', /\bsuggest 3-5 relevant follow-?up questions\b/i],
  ['suggestions', /\bpredict what (the user|they) would (naturally )?type next\b/i],
  ['suggestions', /\[SUGGESTION MODE\b/],
  ['checks', /\byour task is to process bash commands that an ai coding agent wants to run\b/i],
  ['checks', /\bextract any file paths that this command reads or modifies\b/i],
  ['compaction', /\byour task is to create a detailed summary of the conversation so far\b/i],
  ['compaction', /\btasked with summarizing conversations\b/i],
  ['compaction', /\bCONTEXT CHECKPOINT COMPACTION\b/],
  ['compaction', /\bsummarize (the|this|our) conversation (so far|above|history)\b/i],
]

/** The kind of housekeeping that a request is; undefined if it is the user's own. */
export function housekeepingOf(body: {
  readonly messages: readonly ChatTurn[]
  readonly [field: string]: unknown
}): Housekeeping | undefined {
  const { messages } = body
  // a probe of the connection or the quota: one word, for one token
  const limit = body.max_completion_tokens ?? body.max_tokens
  if (limit === 1 && messages.length === 1) return 'checks'
  for (const text of instructionsOf(messages)) {
    const found = PATTERNS.find(([, pattern]) => pattern.test(text))
    if (found) return found[0]
  }
  return undefined
}

/** Where a program says what it wants: the system's texts, and the last of the user's, in their parts. */
function instructionsOf(messages: readonly ChatTurn[]): string[] {
  const last = messages.findLast(({ role }) => role === 'user')
  return messages
    .filter((turn) => turn === last || turn.role === 'system' || turn.role === 'developer')
    .flatMap(({ content }) =>
      typeof content === 'string' ? [content] : (content ?? []).map((part) => part.text ?? ''),
    )
    .map((text) => text.slice(0, READ))
}
