import type { ChatMessage } from '../../models/reading/messages.ts'
import { shown } from '../rows/cell.ts'
import type { RawRecord, Reader } from '../rows/reader.ts'
import { readPreference, reject } from './canonical.ts'

/**
 * LMSYS Arena as on Kaggle (55k and later sets): prompts as a JSON list of the user's turns, one column per
 * verdict. The verdict is about the whole conversation, so all the user's turns are the prompt.
 */
export const arenaKaggleReader: Reader = {
  name: 'arena-kaggle',
  required: ['prompt', 'model_a', 'model_b', 'winner_model_a', 'winner_model_b', 'winner_tie'],
  recognises: (columns) =>
    ['winner_model_a', 'winner_model_b', 'winner_tie', 'prompt'].every((name) => columns.has(name)),
  columns: (columns) =>
    [...arenaKaggleReader.required, 'id'].filter((column) => columns.has(column)),
  open: () => (record, origin) => {
    const prompt = userTurns(record.prompt)
    if (prompt === undefined) {
      const reason = `expected a JSON list of turns, got ${shown(record.prompt)}`
      return reject(origin, 'prompt', reason)
    }
    const verdicts = ['winner_model_a', 'winner_model_b', 'winner_tie'].filter((column) =>
      ['1', 'true'].includes(String(record[column]).trim().toLowerCase()),
    )
    const [verdict] = verdicts
    if (verdict === undefined || verdicts.length > 1) {
      const got = verdicts.length === 0 ? 'none' : verdicts.join(' and ')
      return reject(
        origin,
        'winner',
        `expected one of winner_model_a, _b and _tie to be 1, got ${got}`,
      )
    }
    return readPreference(
      { ...plainRecord(record), prompt, winner: verdict.slice('winner_'.length) },
      origin,
    )
  },
}

/** LMSYS Arena conversations: `conversation_a` and `_b` as lists of messages, `winner` in words. */
export const arenaConversationReader: Reader = {
  name: 'arena-conversation',
  required: ['conversation_a', 'model_a', 'model_b', 'winner'],
  recognises: (columns) =>
    ['conversation_a', 'model_a', 'model_b', 'winner'].every((name) => columns.has(name)),
  columns: (columns) =>
    [
      ...arenaConversationReader.required,
      ...['question_id', 'id', 'judge', 'tstamp', 'timestamp', 'category', 'language'],
    ].filter((column) => columns.has(column)),
  open: () => (record, origin) => {
    const prompt = asked(record.conversation_a)
    if (prompt === undefined) {
      const reason = `expected messages with a user's turn, got ${shown(record.conversation_a)}`
      return reject(origin, 'conversation_a', reason)
    }
    return readPreference(
      {
        ...plainRecord(record),
        prompt,
        winner: record.winner,
        id: record.question_id ?? record.id,
        timestamp: record.tstamp ?? record.timestamp,
        // its judge column identifies the person; --group-by judge keeps one person's votes together
        judge: 'human',
        category: typeof record.category === 'string' ? record.category : record.language,
      },
      origin,
    )
  },
}

const plainRecord = ({ model_a, model_b, id }: RawRecord): RawRecord => ({
  model_a,
  model_b,
  id,
  judge: 'human',
})

/** The turns in a JSON list as messages, one turn as its text; undefined for anything else. */
function userTurns(value: unknown): unknown {
  const list = typeof value === 'string' ? parsed(value) : value
  if (!Array.isArray(list) || typeof list[0] !== 'string') return undefined
  const turns = list.filter((turn) => typeof turn === 'string' && turn !== '')
  return turns.length > 1 ? turns.map((content) => ({ role: 'user', content })) : list[0]
}

/**
 * What was asked in a conversation: all turns but the answers, which are those of one of the models that are
 * compared, so that a router could tell from them who won. Undefined without a user's turn.
 */
function asked(value: unknown): ChatMessage[] | undefined {
  const list = typeof value === 'string' ? parsed(value) : value
  if (!Array.isArray(list)) return undefined
  const messages = list as readonly { role?: unknown; content?: unknown }[]
  const last = messages.findLastIndex((message) => message?.role === 'user')
  if (last < 0) return undefined
  return messages
    .slice(0, last + 1)
    .filter((message) => message?.role !== 'assistant')
    .map((message) => ({ role: message?.role as string, content: contentOf(message?.content) }))
}

/** Newer Arena sets nest text and images in `content`. */
function contentOf(content: unknown): Exclude<ChatMessage['content'], undefined> {
  if (
    Array.isArray(content) &&
    content.every((part) => typeof part === 'string' || part === null)
  ) {
    return content.filter((part) => typeof part === 'string').join('\n')
  }
  return content as Exclude<ChatMessage['content'], undefined>
}

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
