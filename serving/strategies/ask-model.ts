import { setMaxListeners } from 'node:events'
import { WeirError } from '../../core/errors.ts'
import type { Answer, SendOptions, Target } from '../gateway/contracts.ts'

import { UpstreamError } from '../upstreams/failure.ts'
import type { PassedBody } from '../upstreams/upstream.ts'
import { saidBy, type WholeAnswer } from './chat-answer.ts'

/** A limit on part of a request's work, in addition to the request's signal. */
export interface TimeLimit {
  readonly signal: AbortSignal
  /** for one attempt within the limit, which then counts as too slow rather than cancelled */
  readonly attemptMs: number
  /** Cancels the work in progress. */
  abort(): void
  /** The work is done: nothing is aborted any more. */
  end(): void
}

const ATTEMPT_SHARE = 0.95

/** @param milliseconds at most 2^31 - 1 */
export function timeLimit(outer: AbortSignal, milliseconds: number): TimeLimit {
  const own = new AbortController()
  const timer = setTimeout(
    () => own.abort(new WeirError('cancelled', { signal: 'a time limit' })),
    Math.max(0, milliseconds),
  )
  const signal = AbortSignal.any([outer, own.signal])
  // as many samples may listen to it as a policy asks for
  setMaxListeners(0, signal)
  return {
    attemptMs: ATTEMPT_SHARE * milliseconds,
    signal,
    abort() {
      clearTimeout(timer)
      own.abort(new WeirError('cancelled', { signal: 'another answer' }))
    },
    end: () => clearTimeout(timer),
  }
}

/** A question of the gateway, to be answered in JSON of one shape. */
export interface ModelQuestion {
  readonly model: string
  /** the instructions; they describe the shape too, for servers that do not support schemas */
  readonly system: string
  /** the content to assess, which must not be followed as instructions */
  readonly data: unknown
  /** names the schema */
  readonly name: string
  readonly schema: Readonly<Record<string, unknown>>
  /** merged over the body: temperature, max_tokens and so on */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined
}

export type Send = (
  target: Target,
  options: SendOptions & Required<Pick<SendOptions, 'body'>>,
) => Promise<Answer>

/**
 * Asks models for JSON, constrained by a schema if the upstream supports that. A model that refuses the
 * schema is asked without it, and this is remembered: the instructions must then suffice.
 */
export class ModelAsker {
  private readonly unheld = new Set<string>()

  /** The text of the answer; '' if it has none. @throws what `send` throws */
  async ask(question: ModelQuestion, send: Send, limit: TimeLimit): Promise<string> {
    const { model } = question
    const { signal, attemptMs: withinMs } = limit
    const plain = body(question)
    const asked = async (its: PassedBody): Promise<string> =>
      textOf(await send({ model }, { body: its, signal, withinMs }))
    if (this.unheld.has(model)) return asked(plain)
    try {
      return await asked({ ...plain, response_format: responseFormat(question) })
    } catch (error) {
      if (!(error instanceof UpstreamError && error.kind === 'rejected')) throw error
    }
    const text = await asked(plain)
    this.unheld.add(model)
    return text
  }
}

function body({ model, system, data, parameters }: ModelQuestion): PassedBody {
  return {
    model,
    messages: [
      { role: 'system', content: system },
      // as JSON, so that nothing in it can end the quotation
      { role: 'user', content: JSON.stringify(data) },
    ],
    ...parameters,
  }
}

const responseFormat = ({ name, schema }: ModelQuestion): object => ({
  type: 'json_schema',
  json_schema: { name, strict: true, schema },
})

function textOf(answer: Answer): string {
  return answer.answer.kind === 'complete' ? saidBy(answer as WholeAnswer).text.trim() : ''
}

/** The value of the only field of a JSON object, which may be fenced as code; undefined if the text is anything else. */
export function onlyField(text: string, field: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(/^\s*```(?:json)?\n([\s\S]*?)\n```\s*$/.exec(text)?.[1] ?? text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const keys = Object.keys(value)
  return keys.length === 1 && keys[0] === field
    ? (value as Record<string, unknown>)[field]
    : undefined
}
