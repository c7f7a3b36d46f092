import { rm } from 'node:fs/promises'
import OpenAI from 'openai'
import { serveConfig } from '../../scripts/cli/serve-config.ts'
import type { Served } from '../../serving/gateway/contracts.ts'
import { listen } from '../../serving/server/run-server.ts'
import { type SampleApp, sampleApp } from '../serving/sample-app.ts'
import {
  type AnsweringUpstream,
  answeringUpstream,
} from '../serving/strategies/answering-upstream.ts'

export interface ExampleApp {
  readonly url: string
  readonly sample: SampleApp
  /** by their names in the configuration; each says its name unless told otherwise */
  readonly upstreams: Readonly<Record<string, AnsweringUpstream>>
  readonly served: Served[]
  /** one answer: its text and headers */
  ask(content: string, more?: Readonly<Record<string, unknown>>): Promise<ExampleAnswer>
  close(): Promise<void>
}

export interface ExampleAnswer {
  readonly text: string | null
  readonly status: number
  readonly headers: Headers
  /** the error's message, where it was one */
  readonly error: string | undefined
}

const FOLDER = 'docs/examples'

/**
 * An example as it stands in docs/examples, started as `weir serve` does: its upstreams are local ones instead
 * of those that it names, and its router is the tests' own, which sends "prove" strong and "hello" weak.
 */
export async function openExample(
  policy: string | undefined,
  server = 'server.yaml',
  keys: readonly { readonly name: string; readonly sha256: string }[] = [],
): Promise<ExampleApp> {
  const config = await serveConfig(['.'], {
    config: `${FOLDER}/servers/${server}`,
    ...(policy === undefined ? {} : { policy: `${FOLDER}/${policy}` }),
  })
  const gateway = config.gateway!
  const names = Object.keys(gateway.upstreams)
  const opened = await Promise.all(names.map((name) => answeringUpstream(() => ({ text: name }))))
  const upstreams = Object.fromEntries(names.map((name, i) => [name, opened[i]!]))
  const served: Served[] = []
  const candidates = (['strong', 'weak'] as const).map((role) => ({
    model: role === 'strong' ? 'big-1' : 'small-1',
    role,
  }))
  const sample = await sampleApp({
    bundles: [{ manifest: { candidates } }],
    config: (root) => {
      const { routers: _, ...rest } = config
      return {
        ...rest,
        ...(keys.length > 0 ? { keys: [...keys] } : {}),
        log: { folder: `${root}/log` },
        // a busy machine is not what is tested
        max_lag_ms: 60_000,
        deadline_ms: 60_000,
        gateway: {
          ...gateway,
          upstreams: Object.fromEntries(
            names.map((name) => {
              const { kind: __, ...its } = gateway.upstreams[name]!
              return [name, { ...its, base_url: upstreams[name]!.url }]
            }),
          ),
        },
      }
    },
    services: {
      environment: Object.fromEntries(
        Object.values(gateway.upstreams).map(({ key_env: name = '' }) => [name, `sk-${name}`]),
      ),
      servedObservers: [(one) => served.push(one)],
    },
  })
  const url = await listen(sample.app, { host: '127.0.0.1', port: 0 })
  return {
    url: `${url}/v1`,
    sample,
    upstreams,
    served,
    async ask(content, { key = 'none', ...more } = {}) {
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: String(key), maxRetries: 0 })
      const messages = [{ role: 'user', content }]
      const asked = client.chat.completions.create({ model: 'weir', messages, ...more } as never)
      try {
        const { data, response } = await asked.withResponse()
        const { status, headers } = response
        const text = (data as OpenAI.ChatCompletion).choices[0]?.message.content ?? null
        return { text, status, headers, error: undefined }
      } catch (error) {
        if (!(error instanceof OpenAI.APIError) || error.status === undefined) throw error
        const { status, headers, message } = error
        return { text: null, status, headers: headers!, error: message }
      }
    },
    async close() {
      // clients keep connections that they have no further use for
      sample.app.server.closeAllConnections()
      await sample.close()
      await Promise.all(opened.map((upstream) => upstream.close()))
      await rm(sample.root, { recursive: true, force: true })
    },
  }
}
