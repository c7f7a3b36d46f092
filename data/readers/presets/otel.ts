import { parsedText } from '../../rows/expression.ts'
import type { RawRecord, ScoreFile } from '../../rows/reader.ts'
import { isRecord } from '../../rows/record.ts'
import { definePreset } from '../preset.ts'

/**
 * OpenTelemetry spans of calls of models, in OTLP/JSON (the collector's file exporter: one request per line) or
 * as single spans with an object of attributes (Python's ConsoleSpanExporter, Phoenix). Read are the semantic
 * conventions for generative AI (`gen_ai.*`, also in their older form with one attribute per message) and
 * OpenInference (`llm.*`). Scores are the span's `gen_ai.evaluation.result` events, or log records in a file of
 * their own (`otelScores`).
 */
export const otelPreset = definePreset({
  name: 'otel',
  mapping: {
    fields: {
      prompt: 'prompt',
      model:
        'attributes["gen_ai.request.model"]|attributes["gen_ai.response.model"]|attributes["llm.model_name"]',
      score: 'evaluations.*',
      cost: 'attributes["llm.cost.total"]|attributes["gen_ai.usage.cost"]',
      tokens:
        'attributes["gen_ai.usage.output_tokens"]|attributes["gen_ai.usage.completion_tokens"]|attributes["llm.token_count.completion"]',
      timestamp: 'start',
      session: 'attributes["gen_ai.conversation.id"]|attributes["session.id"]',
      user: 'attributes["user.id"]|attributes["enduser.id"]',
      id: 'span_id',
    },
    where: { kind: 'model call' },
    except: { status: 'error' },
    on: ['span_id', 'attributes["gen_ai.response.id"]', 'trace_id'],
  },
  recognises: (columns, sample) =>
    columns.has('resourceSpans') ||
    sample.some(
      (record) => isRecord(record.attributes) && modelOf(record.attributes) !== undefined,
    ),
  expandsList: 'resourceSpans.scopeSpans.spans|resourceSpans.instrumentationLibrarySpans.spans',
  expand: (record) => spansOf(record).map(readSpan),
})

const modelOf = (attributes: RawRecord): unknown =>
  attributes['gen_ai.request.model'] ??
  attributes['gen_ai.response.model'] ??
  attributes['llm.model_name']

const list = (value: unknown): readonly RawRecord[] =>
  Array.isArray(value) ? value.filter(isRecord) : []

function spansOf(record: RawRecord): readonly RawRecord[] {
  if (record.resourceSpans === undefined) return [record]
  return list(record.resourceSpans)
    .flatMap(({ scopeSpans, instrumentationLibrarySpans }) =>
      list(scopeSpans ?? instrumentationLibrarySpans),
    )
    .flatMap(({ spans }) => list(spans))
}

function readSpan(span: RawRecord): RawRecord {
  const attributes = attributesOf(span.attributes)
  const events = list(span.events).map((event) => ({
    name: event.name,
    attributes: attributesOf(event.attributes),
  }))
  const context = isRecord(span.context) ? span.context : {}
  return {
    prompt: promptOfSpan(attributes, events),
    attributes,
    evaluations: evaluationsOf(events),
    kind: isModelCall(attributes) ? 'model call' : 'other',
    status: hasFailed(span) ? 'error' : 'ok',
    start:
      span.startTimeUnixNano === undefined ? span.start_time : Number(span.startTimeUnixNano) / 1e9,
    span_id: span.spanId ?? span.span_id ?? context.span_id,
    trace_id: span.traceId ?? span.trace_id ?? context.trace_id,
  }
}

/** OTLP's list of keys and typed values, or a plain object (nested or with dots in its names), as one object. */
function attributesOf(value: unknown): RawRecord {
  const found: Record<string, unknown> = Object.create(null)
  if (Array.isArray(value)) {
    for (const { key, value: any } of list(value)) found[String(key)] = plain(any)
  } else if (isRecord(value)) flatten(value, '', found)
  return found
}

function flatten(value: RawRecord, prefix: string, into: Record<string, unknown>): void {
  for (const [name, item] of Object.entries(value)) {
    into[prefix + name] = item
    if (isRecord(item)) flatten(item, `${prefix}${name}.`, into)
  }
}

/** An OTLP `AnyValue`. 64-bit integers come as text. */
function plain(value: unknown): unknown {
  if (!isRecord(value)) return value
  if (value.stringValue !== undefined) return value.stringValue
  if (value.intValue !== undefined) return Number(value.intValue)
  if (value.doubleValue !== undefined) return value.doubleValue
  if (value.boolValue !== undefined) return value.boolValue
  if (isRecord(value.arrayValue)) return list(value.arrayValue.values).map(plain)
  if (isRecord(value.kvlistValue)) {
    return Object.fromEntries(
      list(value.kvlistValue.values).map(({ key, value: item }) => [String(key), plain(item)]),
    )
  }
  return undefined
}

const MODEL_OPERATIONS: ReadonlySet<unknown> = new Set([
  ...['chat', 'text_completion', 'generate_content', 'completion'],
])

/** Spans of agents and tools carry the model's name too. */
function isModelCall(attributes: RawRecord): boolean {
  if (modelOf(attributes) === undefined) return false
  const kind = attributes['openinference.span.kind']
  if (kind !== undefined) return kind === 'LLM'
  const operation = attributes['gen_ai.operation.name']
  return operation === undefined || MODEL_OPERATIONS.has(operation)
}

function hasFailed({ status, status_code }: RawRecord): boolean {
  const code = isRecord(status) ? (status.code ?? status.status_code) : (status ?? status_code)
  return code === 2 || code === 'STATUS_CODE_ERROR' || code === 'ERROR'
}

interface SpanEvent {
  readonly name: unknown
  readonly attributes: RawRecord
}

/** Scores by the evaluation's name; its label, such as `pass`, where it has no value. */
function evaluationsOf(events: readonly SpanEvent[]): RawRecord {
  const found: Record<string, unknown> = {}
  for (const { name, attributes } of events) {
    if (name !== 'gen_ai.evaluation.result') continue
    const score =
      attributes['gen_ai.evaluation.score.value'] ?? attributes['gen_ai.evaluation.score.label']
    if (score !== undefined) found[String(attributes['gen_ai.evaluation.name'] ?? 'score')] = score
  }
  return found
}

const parsed = (value: unknown): unknown =>
  typeof value === 'string' ? (parsedText(value) ?? value) : value

function promptOfSpan(attributes: RawRecord, events: readonly SpanEvent[]): unknown {
  const system = parsed(attributes['gen_ai.system_instructions'])
  const first = Array.isArray(system) ? [{ role: 'system', content: contentOf(system) }] : []
  const input = parsed(attributes['gen_ai.input.messages'])
  if (Array.isArray(input)) return [...first, ...list(input).map(messageOf)]
  const numbered = [
    ...numberedMessages(attributes, 'gen_ai.prompt.', ''),
    ...numberedMessages(attributes, 'llm.input_messages.', 'message.'),
  ]
  if (numbered.length > 0) return numbered
  const asked = events.flatMap(({ name, attributes: held }) => {
    const role = /^gen_ai\.(system|user|assistant|tool)\.message$/.exec(String(name))?.[1]
    return role ? [{ role, content: held.content ?? '' }] : []
  })
  if (asked.length > 0) return asked
  const content = events.find(({ name }) => name === 'gen_ai.content.prompt')
  return (
    parsed(content?.attributes['gen_ai.prompt']) ??
    parsed(attributes['gen_ai.prompt']) ??
    parsed(attributes['input.value'])
  )
}

/** A message of the conventions: `{role, parts: [{type: 'text', content}]}`. */
const messageOf = ({ role, parts, content }: RawRecord): RawRecord => ({
  role,
  content: parts === undefined ? content : contentOf(parts),
})

const contentOf = (parts: unknown): unknown =>
  list(parts)
    .map(({ content, text }) => content ?? text)
    .filter((text) => typeof text === 'string')
    .join('\n')

/** Messages with one attribute per field: `gen_ai.prompt.0.role`, `llm.input_messages.0.message.role`. */
function numberedMessages(
  attributes: RawRecord,
  prefix: string,
  inner: string,
): readonly RawRecord[] {
  const messages: RawRecord[] = []
  for (let i = 0; ; i++) {
    const at = `${prefix}${i}.${inner}`
    const role = attributes[`${at}role`]
    if (role === undefined) return messages
    messages.push({ role, content: attributes[`${at}content`] ?? numberedParts(attributes, at) })
  }
}

function numberedParts(attributes: RawRecord, at: string): string {
  const texts: unknown[] = []
  for (let i = 0; ; i++) {
    const part = `${at}contents.${i}.message_content.`
    if (attributes[`${part}type`] === undefined && attributes[`${part}text`] === undefined) break
    texts.push(attributes[`${part}text`])
  }
  return texts.filter((text) => typeof text === 'string').join('\n')
}

const attribute = (name: string): string => `attributes[key=${name}].value`

/** Evaluations as log records in OTLP/JSON: the event `gen_ai.evaluation.result`. */
export const otelScores: ScoreFile = {
  name: 'otel-evaluations',
  mapping: {
    rows: 'resourceLogs.scopeLogs.logRecords',
    fields: {
      key: `spanId|${attribute('gen_ai.response.id')}.stringValue|traceId`,
      name: `${attribute('gen_ai.evaluation.name')}.stringValue`,
      score: [
        `${attribute('gen_ai.evaluation.score.value')}.doubleValue`,
        `${attribute('gen_ai.evaluation.score.value')}.intValue`,
        `${attribute('gen_ai.evaluation.score.label')}.stringValue`,
      ].join('|'),
    },
    where: { [`eventName|${attribute('event.name')}.stringValue`]: 'gen_ai.evaluation.result' },
  },
  recognises: (columns) => columns.has('resourceLogs'),
}
