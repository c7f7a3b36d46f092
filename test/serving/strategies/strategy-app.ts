import OpenAI from 'openai'
import { afterAll } from 'vitest'
import type { GatewayConfig } from '../../../serving/gateway/config.ts'
import type { Served, ServePlan } from '../../../serving/gateway/contracts.ts'
import { openGateway } from '../../../serving/gateway/open-gateway.ts'

import { buildApp } from '../../../serving/server/app.ts'
import { listen } from '../../../serving/server/run-server.ts'
import type { StrategySettings } from '../../../serving/strategies/settings.ts'
import { createStrategies } from '../../../serving/strategies/strategies.ts'
import { type SampleApp, sampleApp } from '../sample-app.ts'
import { type AnsweringUpstream, answeringUpstream } from './answering-upstream.ts'

/** Each its own upstream; prices in US dollars per million tokens, so that an answer costs 2, 20 and 4 thousandths. */
const PRICES = {
  small: { input: 1, output: 2 },
  big: { input: 10, output: 20 },
  judge: { input: 2, output: 4 },
} as const
export type ModelName = keyof typeof PRICES
export const COST = { small: 0.002, big: 0.02, judge: 0.004 }

export interface StrategyApp {
  readonly url: string
  readonly client: OpenAI
  readonly upstreams: Readonly<Record<ModelName, AnsweringUpstream>>
  readonly served: Served[]
  readonly bugs: unknown[]
  /** what the next requests are planned as */
  plan: Partial<ServePlan>
  close(): Promise<void>
}

let opened: Promise<SampleApp> | undefined

/** One for all tests of a file: strategies have nothing to do with it. */
function router(): Promise<SampleApp> {
  // a busy machine is not what is tested
  opened ??= sampleApp({ config: () => ({ max_lag_ms: 60_000 }) })
  return opened
}
afterAll(async () => (await opened)?.close())

/** A gateway with every strategy over `small`, `big` and `judge`, whose plan the test states. */
export async function strategyApp(
  strategy: StrategySettings,
  gateway: Partial<GatewayConfig> = {},
): Promise<StrategyApp> {
  const names = Object.keys(PRICES) as ModelName[]
  const answering = await Promise.all(names.map(() => answeringUpstream()))
  const upstreams = Object.fromEntries(names.map((name, i) => [name, answering[i]!])) as Record<
    ModelName,
    AnsweringUpstream
  >
  const config: GatewayConfig = {
    upstreams: Object.fromEntries(names.map((name) => [name, { base_url: upstreams[name].url }])),
    models: Object.fromEntries(
      names.map((name) => [name, { upstreams: [{ upstream: name }], price: PRICES[name] }]),
    ),
    attempts: 1,
    deadline_ms: 5_000,
    ...gateway,
  }
  const served: Served[] = []
  const sample = await router()
  const opening = await openGateway(config, {
    fleet: sample.services.fleet,
    decider: sample.services.decider,
    environment: {},
    strategies: createStrategies(),
    policy: () => ({
      plan: async () => ({
        kind: 'serve',
        targets: [{ model: 'small' }, { model: 'big' }],
        deciding: { step: 'rule', reason: 'matched' },
        propensity: 1,
        ...app.plan,
        strategy: { kind: strategy.kind, settings: strategy, ...app.plan.strategy },
      }),
    }),
    observers: [(one) => served.push(one)],
    now: Date.now,
    seed: 1,
  })
  const server = buildApp({ ...sample.services, gateway: opening })
  const url = await listen(server, { host: '127.0.0.1', port: 0 })
  const app: StrategyApp = {
    url,
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-client', maxRetries: 0 }),
    upstreams,
    served,
    bugs: sample.bugs,
    plan: {},
    async close() {
      // the client keeps connections that it has no further use for
      server.server.closeAllConnections()
      await server.close()
      await opening.close()
      await Promise.all(answering.map((upstream) => upstream.close()))
    },
  }
  return app
}

/** The answer to one question, as OpenAI's client gives it, and its headers. */
export async function ask(
  app: StrategyApp,
  more: Record<string, unknown> = {},
): Promise<{
  text: string | null
  headers: Headers
  body: OpenAI.ChatCompletion
}> {
  const { data: body, response } = await app.client.chat.completions
    .create({
      model: 'auto',
      messages: [{ role: 'user', content: 'What is 6 x 7?' }],
      ...more,
    } as never)
    .withResponse()
  const completion = body as OpenAI.ChatCompletion
  return {
    text: completion.choices[0]?.message.content ?? null,
    headers: response.headers,
    body: completion,
  }
}

export interface Streamed {
  readonly text: string
  readonly chunks: readonly OpenAI.ChatCompletionChunk[]
  readonly headers: Headers
}

/** The same as a stream. */
export async function stream(
  app: StrategyApp,
  more: Record<string, unknown> = {},
): Promise<Streamed> {
  const { data, response } = await app.client.chat.completions
    .create({
      model: 'auto',
      messages: [{ role: 'user', content: 'What is 6 x 7?' }],
      stream: true,
      ...more,
    } as OpenAI.ChatCompletionCreateParamsStreaming)
    .withResponse()
  const chunks: OpenAI.ChatCompletionChunk[] = []
  for await (const chunk of data) chunks.push(chunk)
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')
  return { text, chunks, headers: response.headers }
}
