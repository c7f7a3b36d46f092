import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'
import { type OutgoingInit, outgoingFetch, outgoingUrl } from '../../core/outgoing.ts'
import {
  replyOfSdk,
  SdkEvents,
  type SdkVersion,
  sdkUsage,
  toSdkOptions,
} from '../conversation/ai-sdk.ts'
import { ChatChunks, chatCompletion, fromChat } from '../conversation/chat.ts'
import { type Adjusted, type Fields, UntranslatableRequest } from '../conversation/form.ts'
import { AttemptWatch } from './answer-reader.ts'
import type { Cancellation } from './cancellation.ts'
import { asksForUsage, MalformedAnswer } from './dialect.ts'
import { cancelled, failureOf, UpstreamError } from './failure.ts'
import { passedHeaders, refusalOf } from './refusal.ts'
import type { StreamAnswer, Upstream, UpstreamAnswer, UpstreamCall } from './upstream.ts'

const Milliseconds = Type.Number({ minimum: 1, maximum: 2_147_483_647 })
const Variable = Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' })

/** The settings of an upstream that is a provider package of the AI SDK. */
export const AiSdkSettings = Type.Object(
  {
    kind: Type.Optional(Type.String()),
    /** an installed package: `@ai-sdk/mistral`, `@ai-sdk/amazon-bedrock` and so on */
    package: Type.String({
      pattern: '^(@[a-z0-9-~][a-z0-9-._~]*/)?[a-z0-9-~][a-z0-9-._~]*(/[a-z0-9-._~]+)*$',
    }),
    /** its function that makes the provider, where it has several: `createVertex` */
    create: Type.Optional(Type.String({ pattern: '^create[A-Za-z0-9]+$' })),
    /** what the function takes: `region`, `resourceName`, `apiVersion`, `baseURL` and so on */
    options: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    /** the environment variable that holds its `apiKey` */
    key_env: Type.Optional(Variable),
    /** options whose values are secrets, with the environment variables that hold them */
    options_env: Type.Optional(Type.Record(Type.String(), Variable)),
    /** sent with every request, by provider: `{"google": {"thinkingConfig": {...}}}` */
    provider_options: Type.Optional(
      Type.Record(Type.String(), Type.Record(Type.String(), Type.Unknown())),
    ),
    answer_timeout_ms: Type.Optional(Milliseconds),
    first_token_timeout_ms: Type.Optional(Milliseconds),
    idle_timeout_ms: Type.Optional(Milliseconds),
  },
  { additionalProperties: false },
)
export type AiSdkSettings = Type.Static<typeof AiSdkSettings>

interface AiSdkContext {
  readonly name: string
  /** the path of the settings, for errors */
  readonly where: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly allowHosts: readonly string[] | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
}

/** What a provider package makes: `ProviderV3` or `ProviderV4`. */
interface Provider {
  languageModel(model: string): LanguageModel
}

interface LanguageModel {
  readonly specificationVersion: string
  doGenerate(options: Fields): PromiseLike<Fields>
  doStream(options: Fields): PromiseLike<Fields & { readonly stream: ReadableStream<Fields> }>
}

/** An upstream over a provider package that the operator has installed. @throws config_invalid */
export async function openAiSdkUpstream(
  settings: AiSdkSettings,
  context: AiSdkContext,
): Promise<Upstream> {
  const provider = await openProvider(settings, context)
  const models = new Map<string, LanguageModel>()
  const modelOf = (name: string): LanguageModel => {
    let model = models.get(name)
    if (!model) {
      model = provider.languageModel(name)
      const { specificationVersion: version } = model
      if (version !== 'v3' && version !== 'v4') {
        const reason = `${settings.package} has the provider interface ${version}, expected v3 or v4`
        throw new UpstreamError('misconfigured', { upstream: context.name, reason })
      }
      models.set(name, model)
    }
    return model
  }
  return {
    name: context.name,
    close: async () => {},
    complete: async (call, cancellation) =>
      new Attempt(settings, context, call, cancellation).run(modelOf),
  }
}

async function openProvider(settings: AiSdkSettings, context: AiSdkContext): Promise<Provider> {
  const { package: name, create, options = {}, key_env: key, options_env: secrets = {} } = settings
  const { where, environment, allowHosts } = context
  const invalid = (field: string, expected: string, got: string, cause?: unknown): WeirError =>
    new WeirError('config_invalid', { where: `${where}.${field}`, expected, got }, { cause })
  const read = (field: string, variable: string): string => {
    const value = environment[variable]
    if (value) return value
    const expected = 'an environment variable that is set'
    throw invalid(field, expected, `${variable}, which is not`)
  }
  const module = await importPackage(name).catch((cause: unknown) => {
    throw invalid('package', `an installed package (npm install ${name})`, String(cause), cause)
  })
  const makers = Object.entries(module).filter(
    ([field, value]) => /^create[A-Z]/.test(field) && typeof value === 'function',
  )
  const found = create === undefined ? makers[0]?.[1] : module[create]
  const several = new Set(makers.map(([, value]) => value)).size > 1
  if (typeof found !== 'function' || (create === undefined && several)) {
    const names = makers.map(([field]) => field).join(', ')
    throw invalid(
      'create',
      `one of the package's functions (${names || 'none'})`,
      create ?? 'nothing',
    )
  }
  const all: Record<string, unknown> = { ...options }
  if (key !== undefined) all.apiKey = read('key_env', key)
  for (const [option, variable] of Object.entries(secrets)) {
    all[option] = read(`options_env.${option}`, variable)
  }
  if (typeof all.baseURL === 'string') {
    outgoingUrl(all.baseURL, `${where}.options.baseURL`, { allowHosts, query: true })
  }
  // every call goes the way of all others: allowed hosts, proxies, no metadata services
  all.fetch = (input: unknown, init: OutgoingInit) => {
    const address = input instanceof Request ? input.url : String(input)
    return outgoingFetch(outgoingUrl(address, where, { allowHosts, query: true }), init)
  }
  try {
    return (found as (options: object) => Provider)(all)
  } catch (cause) {
    throw invalid('options', `options that ${name} takes`, String(cause), cause)
  }
}

/** A package beside Weir, or one of the project that Weir was started in. */
async function importPackage(name: string): Promise<Fields> {
  try {
    return (await import(name)) as Fields
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ERR_MODULE_NOT_FOUND') throw error
    const path = createRequire(join(process.cwd(), 'package.json')).resolve(name)
    return (await import(pathToFileURL(path).href)) as Fields
  }
}

/** One call of a model. */
class Attempt {
  private readonly settings: AiSdkSettings
  private readonly context: AiSdkContext
  private readonly call: UpstreamCall
  private readonly controller = new AbortController()
  private readonly watch: AttemptWatch
  private readonly adjusted: Adjusted
  private begun = false

  constructor(
    settings: AiSdkSettings,
    context: AiSdkContext,
    call: UpstreamCall,
    cancellation: Cancellation,
  ) {
    if (cancellation.cancelled) throw cancelled(cancellation.reason)
    this.settings = settings
    this.context = context
    this.call = call
    this.adjusted = call.adjusted ?? (() => {})
    const { answer_timeout_ms: answer = 600_000, first_token_timeout_ms: first = 60_000 } = settings
    const silenceMs = call.body.stream === true ? first : answer
    const limits = { silenceMs, limitMs: call.remainingMs }
    this.watch = new AttemptWatch(cancellation, limits, () => this.controller.abort())
  }

  async run(modelOf: (name: string) => LanguageModel): Promise<UpstreamAnswer> {
    const { call, context } = this
    try {
      if (call.endpoint !== 'chat') {
        const reason = `it has no endpoint for ${call.endpoint}`
        throw new UpstreamError('misconfigured', { upstream: context.name, reason })
      }
      const model = modelOf(call.body.model)
      const version = model.specificationVersion as SdkVersion
      const { provider_options: extra = {} } = this.settings
      const options = {
        ...toSdkOptions(fromChat(call.body), version, extra, this.adjusted),
        headers: call.headers,
        abortSignal: this.controller.signal,
      }
      return call.body.stream === true
        ? await this.stream(model, options)
        : await this.whole(model, options)
    } catch (error) {
      throw this.failure(error)
    }
  }

  private get created(): number {
    return Math.floor(this.context.now() / 1000)
  }

  private warned(warnings: unknown): void {
    for (const { feature, message } of (warnings ?? []) as readonly Fields[]) {
      this.adjusted(feature === undefined ? String(message) : `${String(feature)} not taken`)
    }
  }

  private async whole(model: LanguageModel, options: Fields): Promise<UpstreamAnswer> {
    const result = await model.doGenerate(options)
    this.watch.end()
    this.warned(result.warnings)
    const reply = replyOfSdk(result, this.call.body.model)
    const { headers } = (result.response ?? {}) as { headers?: Record<string, string> }
    return {
      kind: 'complete',
      body: chatCompletion(reply, this.created),
      text: undefined,
      usage: sdkUsage(result.usage),
      ...(headers ? { headers: passedHeaders(headers) } : {}),
    }
  }

  /** Resolves once part of the answer has come. */
  private async stream(model: LanguageModel, options: Fields): Promise<StreamAnswer> {
    const { stream, response } = await model.doStream(options)
    const reader = stream.getReader()
    const events = new SdkEvents(this.call.body.model)
    const { body } = this.call
    const chunks = new ChatChunks(body.model, this.created, asksForUsage(body))
    let finished = false
    const next = async (): Promise<string | undefined> => {
      const { done, value } = await reader.read()
      if (done) {
        if (finished) return undefined
        throw new MalformedAnswer('the stream ended in the middle')
      }
      this.watch.refresh()
      if (value.type === 'error') throw value.error
      if (value.type === 'stream-start') this.warned(value.warnings)
      if (value.type === 'finish') {
        finished = true
        // what no package can read is skipped, and an answer without any part is made up at the end
        if (!this.begun && isMadeUp(value)) {
          throw new MalformedAnswer('the stream ended before it said anything')
        }
      }
      let out = ''
      for (const step of events.read(value)) {
        if (step.type !== 'start') this.begun = true
        out += chunks.write(step)
      }
      return out
    }
    let first = ''
    while (!this.begun) first += (await next()) ?? ''
    const { idle_timeout_ms: idleMs = 60_000 } = this.settings
    this.watch.restart(idleMs)
    const attempt = this
    async function* rest(): AsyncGenerator<string> {
      try {
        yield first
        for (let out = await next(); out !== undefined; out = await next())
          if (out !== '') yield out
        attempt.watch.end()
      } catch (error) {
        throw attempt.failure(error)
      } finally {
        attempt.watch.abort()
      }
    }
    const { headers } = (response ?? {}) as { headers?: Record<string, string> }
    return {
      kind: 'stream',
      chunks: rest(),
      usage: () => events.usage,
      cancel: () => this.watch.abort(),
      ...(headers ? { headers: passedHeaders(headers) } : {}),
    }
  }

  private failure(error: unknown): Error {
    const { watch, begun, context } = this
    const { givenUp, late, silent } = watch
    watch.end()
    const { name: upstream, now } = context
    if (error instanceof WeirError) return error
    if (error instanceof UntranslatableRequest) {
      const { message, param = null } = error
      const type = 'invalid_request_error'
      const spoken = { message, type, code: 'unsupported_parameter', param }
      return new UpstreamError('rejected', { upstream, reason: message, status: 400, spoken })
    }
    const facts = { givenUp, late, silent, begun, sent: true }
    if (givenUp !== undefined || late !== undefined) return failureOf(error, upstream, facts)
    const { statusCode, responseHeaders = {}, responseBody = '', cause } = (error ?? {}) as SdkError
    // the package could not read an answer of status 200, or a stream's event
    if (statusCode !== undefined && statusCode > 299 && !begun) {
      return refusalOf(
        upstream,
        { status: statusCode, headers: responseHeaders },
        responseBody,
        now(),
      )
    }
    const code = codeOf(error)
    if (code !== undefined) {
      const sent = !UNSENT.has(code)
      return failureOf(Object.assign(new Error(code), { code }), upstream, { ...facts, sent })
    }
    const said = error instanceof Error ? error.message : JSON.stringify(error)
    if (said.startsWith('Cannot connect to API')) {
      return failureOf(new Error(said), upstream, { ...facts, sent: false })
    }
    const unread = cause === undefined || /JSON|Type validation|parse/i.test(said)
    return failureOf(unread ? new MalformedAnswer(said) : new Error(said), upstream, facts)
  }
}

/** Whether the end of a stream has neither the provider's reason nor its counts. */
function isMadeUp({ finishReason, usage }: Fields): boolean {
  const { raw } = (finishReason ?? {}) as { raw?: unknown }
  return raw === undefined && sdkUsage(usage) === undefined
}

/** The fields of the AI SDK's `APICallError`. */
interface SdkError {
  readonly statusCode?: number
  readonly responseHeaders?: Readonly<Record<string, string>>
  readonly responseBody?: string
  readonly cause?: unknown
}

/** Codes of connections that never came about. */
const UNSENT = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** The network's error code, from the causes of an error. */
function codeOf(error: unknown): string | undefined {
  for (let each = error, depth = 0; each && depth < 5; depth++) {
    const { code, cause } = each as { code?: unknown; cause?: unknown }
    if (typeof code === 'string' && /^(E[A-Z]+|UND_ERR_\w+|EAI_AGAIN)$/.test(code)) return code
    each = cause
  }
  return undefined
}
