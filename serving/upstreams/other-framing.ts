import { MalformedAnswer } from './dialect.ts'
import { EventParser, eventText, isDone } from './sse.ts'
import type { Endpoint } from './upstream.ts'

/**
 * Answers in the other framing than was asked for: some servers answer whole where a stream was asked (for
 * tool calls, say), others only ever stream. Both are converted rather than asked for, and paid, again.
 */

type Fields = Readonly<Record<string, unknown>>

interface Choice {
  readonly index?: number
  readonly message?: Fields
  readonly finish_reason?: unknown
  readonly logprobs?: unknown
}

/**
 * The events that OpenAI would have sent for a whole chat completion, without the last `[DONE]`: the role, the
 * content, the finish reason, and the counts if requested.
 */
export function* chatEvents(body: Fields, counts: boolean): Generator<string> {
  const { choices, usage, object: _, ...head } = body
  const event = (its: readonly object[], more: object = counts ? { usage: null } : {}): string =>
    eventText(JSON.stringify({ ...head, object: 'chat.completion.chunk', choices: its, ...more }))
  for (const [i, choice] of ((choices ?? []) as readonly Choice[]).entries()) {
    const { index = i, message = {}, finish_reason: reason = 'stop', logprobs = null } = choice
    const { role = 'assistant', tool_calls: calls, ...said } = message
    const one = (delta: object, its: unknown = null, finish: unknown = null): string =>
      event([{ index, delta, logprobs: its, finish_reason: finish }])
    yield one({ role, content: '' })
    const delta = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== null))
    if (Object.keys(delta).length > 0) yield one(delta, logprobs)
    if (Array.isArray(calls)) {
      yield one({ tool_calls: calls.map((call, nth) => ({ index: nth, ...call })) })
    }
    yield one({}, null, reason)
  }
  if (counts) yield event([], { usage: usage ?? null })
}

/** The events that OpenAI would have sent for a whole response of `/v1/responses`. */
export function* responseEvents(body: Fields): Generator<string> {
  let number = 0
  const event = (type: string, fields: object): string =>
    eventText(JSON.stringify({ type, sequence_number: number++, ...fields }), type)
  const begun = { ...body, status: 'in_progress', output: [], usage: null }
  yield event('response.created', { response: begun })
  yield event('response.in_progress', { response: begun })
  for (const [index, item] of listOf(body.output).entries()) {
    const of = { output_index: index, item_id: item.id }
    const { content, arguments: given } = item
    const empty = { ...item, status: 'in_progress', ...(content ? { content: [] } : {}) }
    yield event('response.output_item.added', {
      output_index: index,
      item: typeof given === 'string' ? { ...empty, arguments: '' } : empty,
    })
    if (typeof given === 'string') {
      yield event('response.function_call_arguments.delta', { ...of, delta: given })
      yield event('response.function_call_arguments.done', { ...of, arguments: given })
    }
    for (const [at, part] of listOf(content).entries()) {
      const where = { ...of, content_index: at }
      const name = part.type === 'refusal' ? 'refusal' : 'output_text'
      const field = name === 'refusal' ? 'refusal' : 'text'
      const text = part[field]
      yield event('response.content_part.added', { ...where, part: { ...part, [field]: '' } })
      yield event(`response.${name}.delta`, { ...where, delta: text })
      yield event(`response.${name}.done`, { ...where, [field]: text })
      yield event('response.content_part.done', { ...where, part })
    }
    yield event('response.output_item.done', { output_index: index, item })
  }
  const status = /^(incomplete|failed)$/.test(String(body.status)) ? body.status : 'completed'
  yield event(`response.${status}`, { response: body })
}

const listOf = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value : [])

/**
 * The whole answer that the events of a stream make together.
 *
 * @param text whole events in OpenAI's shape
 * @throws MalformedAnswer if they make none
 */
export function wholeOf(endpoint: Endpoint, text: string): Record<string, unknown> {
  const parser = new EventParser()
  const chunks = [...parser.push(text), ...parser.flush()]
    .filter(({ data }) => data !== '' && !isDone(data))
    .map(({ data }) => JSON.parse(data) as Fields)
  if (endpoint === 'chat') return completionOf(chunks)
  const last = chunks.findLast(({ response }) => response !== undefined)
  if (!last) throw new MalformedAnswer('a stream where a whole answer was asked')
  return last.response as Record<string, unknown>
}

function completionOf(chunks: readonly Fields[]): Record<string, unknown> {
  const [first = {}] = chunks
  const choices = new Map<number, Record<string, unknown>>()
  let head: Fields = first
  let usage: unknown
  for (const chunk of chunks) {
    const { choices: its, usage: counted, ...rest } = chunk
    // what a later chunk adds, such as a fingerprint
    head = { ...rest, ...head }
    usage = counted ?? usage
    for (const { index = 0, delta, finish_reason: reason, logprobs } of listOf(its) as readonly {
      index?: number
      delta?: Fields
      finish_reason?: unknown
      logprobs?: Fields | null
    }[]) {
      const choice = choices.get(index) ?? {
        index,
        message: { role: 'assistant', content: null },
        logprobs: null,
        finish_reason: null,
      }
      choices.set(index, choice)
      choice.message = grown(choice.message as Fields, delta ?? {})
      if (logprobs) choice.logprobs = grown((choice.logprobs ?? {}) as Fields, logprobs)
      if (reason) choice.finish_reason = reason
    }
  }
  if (choices.size === 0) throw new MalformedAnswer('the stream has no choices')
  const { choices: _, usage: __, ...rest } = head
  return {
    ...rest,
    object: 'chat.completion',
    choices: [...choices.values()].sort((a, b) => Number(a.index) - Number(b.index)),
    ...(usage ? { usage } : {}),
  }
}

/** Fields whose texts come whole, again and again. */
const NAMES = new Set(['role', 'id', 'type'])

/** A message with one more delta: texts are joined, list entries with an `index` grow, others are added. */
function grown(before: Fields, delta: Fields): Fields {
  const after: Record<string, unknown> = { ...before }
  for (const [field, value] of Object.entries(delta)) {
    const had = after[field]
    if (value === null || value === undefined) {
      after[field] ??= value
    } else if (typeof value === 'string') {
      const joins = typeof had === 'string' && !NAMES.has(field)
      after[field] = joins ? had + value : value === '' && had ? had : value
    } else if (Array.isArray(value)) {
      after[field] = grownList((had ?? []) as readonly unknown[], value)
    } else if (typeof value === 'object') {
      after[field] = grown((had ?? {}) as Fields, value as Fields)
    } else {
      after[field] = value
    }
  }
  return after
}

function grownList(before: readonly unknown[], more: readonly unknown[]): unknown[] {
  const after = [...before]
  for (const entry of more) {
    const { index, ...rest } = (entry ?? {}) as Fields
    if (typeof index !== 'number') after.push(entry)
    else after[index] = grown((after[index] ?? {}) as Fields, rest)
  }
  return after
}
