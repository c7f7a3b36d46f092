import { createHash } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import type { Registry } from 'prom-client'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import { registerLean } from '../../core/lean-metric.ts'
import type { FeedbackRecord } from '../../records/decision-record.ts'
import { redact } from '../../records/redaction.ts'
import type { Budgets } from '../budgets/open.ts'
import type { BudgetSettings } from '../budgets/settings.ts'
import type { ShadowAnswersConfig } from '../gateway/config.ts'
import type { Answer, GatewayRequest, Policy, ServePlan, Target } from '../gateway/contracts.ts'
import { unableTo } from '../gateway/failover.ts'
import type { Gateway, Outcome } from '../gateway/gateway.ts'
import { Counts } from '../gateway/metrics.ts'
import { RequestCosts } from '../gateway/request-costs.ts'
import { mayBeBilled } from '../gateway/spending.ts'
import { mayName } from '../router/keys.ts'
import { ModelAsker, timeLimit } from '../strategies/ask-model.ts'
import { inWords, saidBy, saysNothing, wholeOf } from '../strategies/chat-answer.ts'
import { gradeIn, gradeQuestion } from '../strategies/judge.ts'
import { Cancellation } from '../upstreams/cancellation.ts'
import type { ChatBody, ChatTurn, PassedBody } from '../upstreams/upstream.ts'

/** The step and route that shadow answers are counted under, in budgets and spending. */
export const SHADOW_STEP = 'shadow_answers'

/** The budget that `budget_usd` makes. */
export const shadowBudget = ({
  budget_usd: usd,
  models,
  judge,
}: ShadowAnswersConfig): BudgetSettings => ({
  name: SHADOW_STEP,
  usd,
  per: 'day',
  of: { route: SHADOW_STEP, model: [...models, judge] },
  // biome-ignore lint/suspicious/noThenProperty: the setting's name; nobody awaits it
  then: 'stop',
})

/** What the audit log says of shadow answers: which of the traffic goes to whom besides. */
export function shadowAudit(config: ShadowAnswersConfig): {
  readonly name: string
  readonly hash: string
  readonly detail: string
} {
  const { share, models, judge, budget_usd: usd, redact: redacted } = config
  return {
    name: judge,
    hash: createHash('sha256').update(JSON.stringify(config)).digest('hex'),
    detail: `${100 * share}% of the answered chats also to one of ${models.join(', ')} and both answers to ${judge}, for at most $${usd} a day${redacted ? ', redacted' : ''}`,
  }
}

export interface ShadowAnswersOptions {
  readonly config: ShadowAnswersConfig
  /** whether hard limits and guardrails let a request go to a model it names; no policy, no limits */
  readonly admits: Policy['admits'] | undefined
  readonly budgets: Pick<Budgets, 'record'>
  /** keeps a score, where feedback is kept */
  readonly record: (feedback: FeedbackRecord) => Promise<void>
  readonly registry: Registry
  /** uniform in [0, 1) */
  readonly random: () => number
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
}

/** Comparisons under way at once; further requests are passed over, so that a slow model holds no memory. */
const AT_ONCE = 16
/** Longest answer of a stream that is kept for the judge, in characters. */
const LONGEST = 200_000
/** Time for the other answer, and for each grade, in milliseconds. */
const ANSWER_MS = 120_000

/** What came of a request that was drawn. */
type Result = 'judged' | 'budget' | 'not_allowed' | 'busy' | 'failed' | 'unjudged'

/**
 * Asks another model, after a client has its answer, what it would have said, and records how good both answers are. The
 * client never waits for it. A request goes to no model that the policy's limits, its key or its own list of models keep it
 * from; where the other model or the judge may not see it, nothing is asked.
 */
export class ShadowAnswers {
  readonly #options: ShadowAnswersOptions
  readonly #asker = new ModelAsker()
  readonly #results = new Counts()
  readonly #running = new Set<Promise<void>>()
  readonly #stopped = new Cancellation()
  #spentUsd = 0

  constructor(options: ShadowAnswersOptions) {
    this.#options = options
    const { registry } = options
    // every call under way listens
    setMaxListeners(0, this.#stopped.signal)
    registerLean(
      registry,
      'weir_shadow_answers_total',
      'Requests drawn for a shadow answer, by what came of them.',
      'counter',
      this.#results.samples,
    )
    registerLean(
      registry,
      'weir_shadow_answers_usd_total',
      'US dollars spent on shadow answers and their judge.',
      'counter',
      () => [{ labels: {}, value: this.#spentUsd }],
    )
  }

  /** The gateway, with a share of its answers compared. */
  over<G extends Gateway>(gateway: G): G {
    return {
      ...gateway,
      chat: async (request, cancelled) => {
        const outcome = await gateway.chat(request, cancelled)
        const { random, config } = this.#options
        return random() < config.share ? this.#watched(gateway, request, outcome) : outcome
      },
    }
  }

  /** Waits for what is under way to stop. */
  async close(): Promise<void> {
    this.#stopped.cancel(new WeirError('cancelled', { signal: 'the end of the server' }))
    await Promise.all(this.#running)
  }

  /** Keeps what the answer says, and begins once it was sent whole. */
  #watched(gateway: Gateway, request: GatewayRequest, outcome: Outcome): Outcome {
    const { answer, plan } = outcome
    if (!answer || plan.kind !== 'serve' || Number(request.body.n ?? 1) > 1) return outcome
    const heard = listened(answer)
    if (!heard) return outcome
    return {
      ...outcome,
      answer: heard.answer,
      finish: (status, code) => {
        outcome.finish(status, code)
        const text = status === 200 && code === undefined ? heard.text() : undefined
        if (text !== undefined) this.#begin(gateway, request, answer.target.model, text)
      },
    }
  }

  #begin(gateway: Gateway, request: GatewayRequest, model: string, text: string): void {
    if (this.#stopped.cancelled) return
    if (this.#running.size >= AT_ONCE) {
      this.#results.add({ result: 'busy' satisfies Result })
      return
    }
    const running = this.#compare(gateway, request, model, text)
      .catch((error: unknown): Result => {
        if (!(error instanceof WeirError)) {
          this.#options.onWarning('a shadow answer failed', error)
          return 'failed'
        }
        const spent = error.code === 'budget_spent' || error.code === 'model_over_budget'
        return spent ? 'budget' : 'failed'
      })
      .then((result) => this.#results.add({ result }))
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  async #compare(
    gateway: Gateway,
    request: GatewayRequest,
    model: string,
    text: string,
  ): Promise<Result> {
    const { config, random, record, now } = this.#options
    const others = config.models.filter((name) => name !== model)
    const other = others[Math.floor(random() * others.length)]
    if (other === undefined) return 'not_allowed'
    const body = askedAgain(request.body, config.redact === true)
    const { client: _, pinned: __, ...asked } = request
    const its = { ...asked, body: { ...body, model: other } }
    for (const name of [other, config.judge]) {
      if (!(await this.#mayAsk(gateway, { ...request, body: { ...request.body, model: name } }))) {
        return 'not_allowed'
      }
    }
    if (unableTo(gateway.dispatcher, other, its)) return 'not_allowed'
    const costs = new RequestCosts((name) => gateway.dispatcher.models.get(name)?.price)
    const limit = timeLimit(this.#stopped.signal, ANSWER_MS)
    const send = (target: Target, asked: PassedBody): Promise<Answer> => {
      const until = now() + ANSWER_MS
      return gateway.dispatcher.send({
        endpoint: 'chat',
        request: its,
        plan: shadowPlan(target),
        target,
        body: asked,
        headers: {},
        cancellation: this.#stopped.child(limit.signal),
        costs,
        remainingMs: () => Math.max(0, until - now()),
        maxLatencyMs: undefined,
        moreToTry: false,
        native: false,
      })
    }
    const grade = async (answer: string): Promise<number | undefined> => {
      const messages: readonly ChatTurn[] = body.messages
      const question = {
        ...gradeQuestion(definedOnly({ criteria: config.criteria }), messages, answer),
        model: config.judge,
        parameters: { temperature: 0 },
      }
      return gradeIn(
        await this.#asker.ask(question, (target, { body: asked }) => send(target, asked), limit),
      )
    }
    try {
      const said = saidBy(wholeOf(await send({ model: other }, body)))
      if (saysNothing(said)) return 'failed'
      const kept = (words: string): string => (config.redact ? redact(words) : words)
      const scores = await Promise.all([grade(kept(text)), grade(kept(inWords(said)))])
      const [own, shadow] = scores
      if (own === undefined || shadow === undefined) return 'unjudged'
      const score = (of: string, value: number, propensity?: number): Promise<void> =>
        record({
          object: 'feedback',
          decision_id: request.id,
          time: now(),
          model: of,
          score: value,
          source: `shadow:${config.judge}`,
          kind: 'verdict',
          role: 'any',
          ...(propensity !== undefined && { propensity }),
        })
      // the other first: an answer with one score alone would not be a comparison
      await score(other, shadow, config.share / others.length)
      await score(model, own)
      return 'judged'
    } finally {
      limit.end()
      this.#spend(request, other, costs)
    }
  }

  async #mayAsk(gateway: Gateway, request: GatewayRequest): Promise<boolean> {
    const { admits } = this.#options
    const { model } = request.body
    const allowed = request.hints.models
    if (!gateway.dispatcher.models.has(model) || !mayName(request.caller, model)) return false
    if (allowed && !allowed.includes(model) && model !== this.#options.config.judge) return false
    const refused = await admits?.(request, {
      signal: this.#stopped.signal,
      send: () => Promise.reject(new WeirError('cancelled', { signal: 'a shadow answer' })),
    })
    return refused === undefined
  }

  #spend(request: GatewayRequest, model: string, { attempts }: RequestCosts): void {
    if (attempts.length === 0) return
    this.#spentUsd += attempts.reduce((sum, { costUsd = 0 }) => sum + costUsd, 0)
    this.#options.budgets.record({
      id: request.id,
      key: request.caller.name,
      route: SHADOW_STEP,
      model,
      attempts: attempts.map(({ model: asked, usage, costUsd, outcome }) => ({
        model: asked,
        usage,
        costUsd,
        billable: mayBeBilled(outcome),
      })),
      savedUsd: undefined,
    })
  }
}

const shadowPlan = (target: Target): ServePlan => ({
  kind: 'serve',
  targets: [target],
  strategy: { kind: 'single' },
  deciding: { step: SHADOW_STEP, reason: 'drawn' },
  propensity: 1,
})

/** The client's question for another model: whole, and without what personal data it holds if so configured. */
function askedAgain(body: ChatBody, redacted: boolean): ChatBody {
  const { stream: _, stream_options: __, ...rest } = body
  if (!redacted) return rest as ChatBody
  const messages = JSON.parse(JSON.stringify(body.messages), (_, value) =>
    typeof value === 'string' ? redact(value) : value,
  ) as ChatBody['messages']
  return { ...rest, model: body.model, messages }
}

interface Heard {
  readonly answer: Answer
  /** once it was sent: its text; undefined if it has none, calls tools, or was too long to keep */
  readonly text: () => string | undefined
}

/** The same answer, whose text is kept; undefined for one that cannot be followed. */
function listened(given: Answer): Heard | undefined {
  const { answer } = given
  if (answer.kind === 'complete') {
    const said = saidBy({ ...given, answer })
    const text = said.calls.length > 0 || saysNothing(said) ? undefined : said.text
    return { answer: given, text: () => text }
  }
  if (answer.kind !== 'stream' || answer.native) return undefined
  let text: string | undefined = ''
  let whole = false
  async function* chunks(from: AsyncIterable<string>): AsyncGenerator<string> {
    for await (const chunk of from) {
      yield chunk
      if (text === undefined) continue
      const said = saidIn(chunk)
      text = said === undefined || text.length > LONGEST ? undefined : text + said
    }
    whole = true
  }
  return {
    answer: { ...given, answer: { ...answer, chunks: chunks(answer.chunks) } },
    text: () => (whole && text?.trim() ? text : undefined),
  }
}

/** The text in some server-sent events; undefined if they call tools. */
function saidIn(events: string): string | undefined {
  let text = ''
  for (const line of events.split('\n')) {
    if (!line.startsWith('data: {')) continue
    const { choices } = JSON.parse(line.slice('data: '.length)) as {
      choices?: { delta?: { content?: unknown; tool_calls?: unknown; function_call?: unknown } }[]
    }
    const delta = choices?.[0]?.delta
    if (delta?.tool_calls || delta?.function_call) return undefined
    if (typeof delta?.content === 'string') text += delta.content
  }
  return text
}

/** @throws config_invalid if a model is not served, or the judge is one of those it judges */
export function assertShadowAnswers(
  { models, judge }: ShadowAnswersConfig,
  served: Readonly<Record<string, unknown>>,
): void {
  const known = Object.keys(served).join(', ')
  for (const [i, model] of [...models, judge].entries()) {
    if (Object.hasOwn(served, model)) continue
    const where = `gateway.shadow_answers.${i < models.length ? `models[${i}]` : 'judge'}`
    throw new WeirError('config_invalid', { where, expected: `one of ${known}`, got: model })
  }
  if (models.includes(judge)) {
    throw new WeirError('config_invalid', {
      where: 'gateway.shadow_answers.judge',
      expected: 'a model that is not judged: models favour their own answers',
      got: judge,
    })
  }
}
