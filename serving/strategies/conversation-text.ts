import type { ChatTurn } from '../upstreams/upstream.ts'

export interface QuotedTurn {
  readonly role: string
  readonly text: string
}

/** The last turns of a conversation, at most so many characters of text, for a model that reads about it. */
export function lastTurns(messages: readonly ChatTurn[], characters: number): QuotedTurn[] {
  const turns: QuotedTurn[] = []
  let left = characters
  for (const { role, content, tool_calls: calls } of messages.toReversed()) {
    if (left <= 0) break
    const said = typeof content === 'string' ? content : (content ?? []).map(partText).join('\n')
    const text = calls ? `${said}${JSON.stringify(calls)}` : said
    // the end of a long turn is where its question is
    const kept = text.slice(-left)
    turns.unshift({ role, text: kept })
    left -= kept.length
  }
  return turns
}

const partText = ({ type, text }: { readonly type: string; readonly text?: string }): string =>
  text ?? `[${type}]`
