import { parsedText } from '../../rows/expression.ts'
import type { ScoreFile } from '../../rows/reader.ts'
import { isRecord } from '../../rows/record.ts'
import { definePreset } from '../preset.ts'

/**
 * LangSmith: runs (`Run`), one per line or as its bulk export writes them to Parquet. Feedback on the run itself
 * is in `feedback_stats`; feedback on the whole trace is joined from a file of `Feedback`.
 */
export const langSmithPreset = definePreset({
  name: 'langsmith',
  mapping: {
    fields: {
      prompt: 'asked',
      model:
        'extra.metadata.ls_model_name|extra.invocation_params.model|extra.invocation_params.model_name',
      score: 'feedback_stats.*.avg',
      cost: 'total_cost',
      tokens: 'completion_tokens',
      timestamp: 'start_time',
      session: 'extra.metadata.session_id|extra.metadata.thread_id|extra.metadata.conversation_id',
      id: 'id',
    },
    where: { run_type: 'llm' },
    except: { status: 'error' },
    on: ['id', 'trace_id'],
  },
  recognises: (columns) =>
    ['id', 'run_type', 'inputs', 'trace_id'].every((name) => columns.has(name)),
  expand: (record) => [{ ...record, asked: askedOf(record.inputs) }],
})

/** Feedback as LangSmith's client lists it. */
export const langSmithFeedback: ScoreFile = {
  name: 'langsmith-feedback',
  mapping: { fields: { key: 'run_id', name: 'key', score: 'score|value' } },
  recognises: (columns) =>
    ['run_id', 'key', 'score', 'created_at'].every((name) => columns.has(name)),
}

/** The prompt in a run's inputs: messages, prompts, or the one text. */
function askedOf(inputs: unknown): unknown {
  const held = typeof inputs === 'string' ? parsedText(inputs) : inputs
  if (!isRecord(held)) return inputs
  if (Array.isArray(held.messages)) {
    // LangChain sends batches: a list of conversations
    const [first] = held.messages
    return (Array.isArray(first) ? first : held.messages).map(messageOf)
  }
  if (Array.isArray(held.prompts)) return held.prompts[0]
  const values = Object.values(held)
  return held.input ?? held.prompt ?? held.question ?? (values.length === 1 ? values[0] : undefined)
}

const ROLES: Readonly<Record<string, string>> = {
  human: 'user',
  ai: 'assistant',
  HumanMessage: 'user',
  AIMessage: 'assistant',
  SystemMessage: 'system',
  ToolMessage: 'tool',
}

/** A message of OpenAI's form, or one that LangChain has serialised: `{id: [..., 'HumanMessage'], kwargs}`. */
function messageOf(message: unknown): unknown {
  if (!isRecord(message)) return message
  const { kwargs, id } = message
  if (isRecord(kwargs)) {
    const name = Array.isArray(id) ? String(id.at(-1)).replace(/Chunk$/, '') : ''
    return { role: ROLES[name] ?? kwargs.role ?? 'user', content: kwargs.content }
  }
  if (message.role !== undefined) return message
  const type = String(message.type)
  const data = isRecord(message.data) ? message.data : message
  return { role: ROLES[type] ?? type, content: data.content }
}
