import OpenAI from 'openai'
import type { GatewayConfig } from '../../../serving/gateway/config.ts'
import type { Served } from '../../../serving/gateway/contracts.ts'
import type { ServeConfig } from '../../../serving/server/config.ts'
import { listen } from '../../../serving/server/run-server.ts'
import type { ServiceOptions } from '../../../serving/server/services.ts'
import type { UpstreamConfig } from '../../../serving/upstreams/kinds.ts'
import { type SampleApp, sampleApp } from '../sample-app.ts'
import { type ScriptedUpstream, scriptedUpstream } from '../upstreams/scripted-upstream.ts'

export interface GatewayApp extends SampleApp {
  readonly url: string
  readonly client: OpenAI
  /** answer for the models `small` and `big` of the sample router */
  readonly small: ScriptedUpstream
  readonly big: ScriptedUpstream
  readonly served: Served[]
}

export const HARD = 'prove the integral'
export const EASY = 'hello'

/** The sample router in front of two scripted upstreams, listening, with OpenAI's own client. */
export async function gatewayApp(
  gateway: Partial<GatewayConfig> = {},
  config: Partial<ServeConfig> = {},
  limits: Partial<UpstreamConfig> = {},
  /** what needs the sample's folder */
  within: (root: string) => Partial<ServeConfig> = () => ({}),
  services: Partial<ServiceOptions> = {},
): Promise<GatewayApp> {
  const [small, big] = await Promise.all([scriptedUpstream('small'), scriptedUpstream('big')])
  const served: Served[] = []
  const sample = await sampleApp({
    config: (root) => ({
      // a busy machine is not what is tested here
      max_lag_ms: 60_000,
      ...config,
      ...within(root),
      gateway: {
        upstreams: {
          little: { base_url: small.url, key_env: 'LITTLE_KEY', ...limits },
          large: { base_url: big.url, ...limits },
        },
        models: {
          small: { upstreams: [{ upstream: 'little' }], price: { input: 1, output: 2 } },
          big: {
            upstreams: [{ upstream: 'large', model: 'big-2025' }],
            price: { input: 10, output: 20 },
          },
        },
        ...gateway,
      },
    }),
    services: {
      environment: { LITTLE_KEY: 'sk-little' },
      servedObservers: [(one) => served.push(one)],
      ...services,
    },
  })
  const url = await listen(sample.app, { host: '127.0.0.1', port: 0 })
  return {
    ...sample,
    url,
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-client', maxRetries: 0 }),
    small,
    big,
    served,
    async close() {
      await sample.close()
      await Promise.all([small.close(), big.close()])
    },
  }
}

export const user = (content: string): { role: 'user'; content: string }[] => [
  { role: 'user', content },
]
