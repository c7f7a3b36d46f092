import { homedir } from 'node:os'
import { join } from 'node:path'

/** What a client is set up with. */
export interface ClientFacts {
  /** of the server, without `/v1` */
  readonly url: string
  /** the router's name */
  readonly model: string
  /** for titles and the like */
  readonly small: string
  /** tokens that every model behind the router holds */
  readonly context: number
  readonly environment: Readonly<Record<string, string | undefined>>
  /** the current folder */
  readonly folder: string
}

/** How a client's settings are stored. */
export type Settings =
  /** JSON: these fields are set, others are kept */
  | { readonly kind: 'json'; readonly path: string; readonly fields: Json }
  /** a file of its own, or appended to where `mark` is not in it */
  | {
      readonly kind: 'text'
      readonly path: string
      readonly text: string
      readonly appends?: RegExp
    }

export type Json = { readonly [field: string]: Json | string | number | boolean }

interface ClientRow {
  readonly what: string
  readonly settings: (facts: ClientFacts) => Settings
  /** what to run or import */
  readonly start: () => readonly string[]
}

const KEY = 'WEIR_API_KEY'
const key = `export ${KEY}=...   # a key of the server; any text if it needs none`

/** What `--write` calls a client module, in the user's folder. */
const CLIENT_FILE = 'weir-client.mjs'

/**
 * A client module: the same three facts in each library's words.
 *
 * @param imports what it imports, by package: they are the user's packages, and none of ours
 */
const module =
  (
    imports: Readonly<Record<string, string>>,
    body: (facts: ClientFacts) => string,
  ): ClientRow['settings'] =>
  (facts) => {
    const lines = Object.entries(imports).map(([name, what]) => `import ${what} from '${name}'\n`)
    const path = join(facts.folder, CLIENT_FILE)
    return { kind: 'text', path, text: `${lines.join('')}\n${body(facts)}` }
  }
const imported = (): readonly string[] => [key, `import { model } from './${CLIENT_FILE}'`]

/** The clients of `weir init`, by name. */
export const CLIENTS = {
  'claude-code': {
    what: 'Claude Code',
    settings: ({ url, model, small, context, folder }) => ({
      kind: 'json',
      path: join(folder, '.claude', 'settings.json'),
      fields: {
        env: {
          ANTHROPIC_BASE_URL: url,
          ANTHROPIC_MODEL: model,
          ANTHROPIC_DEFAULT_OPUS_MODEL: model,
          ANTHROPIC_DEFAULT_SONNET_MODEL: model,
          // titles, topics and other housekeeping
          ANTHROPIC_DEFAULT_HAIKU_MODEL: small,
          CLAUDE_CODE_MAX_CONTEXT_TOKENS: String(context),
        },
        // sent as a key in both of its headers, and kept out of the file
        apiKeyHelper: `echo "\${${KEY}:-none}"`,
      },
    }),
    start: () => [key, 'claude'],
  },
  codex: {
    what: 'Codex',
    settings: ({ url, model, context, environment }) => ({
      kind: 'text',
      path: join(
        environment.CODEX_HOME ?? join(environment.HOME ?? homedir(), '.codex'),
        'config.toml',
      ),
      // the file's first lines: tables come after them
      appends: /^\s*(model|model_provider|web_search|model_context_window)\s*=/m,
      text: `model = ${JSON.stringify(model)}
model_provider = "weir"
model_context_window = ${context}
# a tool that only OpenAI's servers run: without it every model can answer
web_search = "disabled"

[model_providers.weir]
name = "Weir"
base_url = ${JSON.stringify(`${url}/v1`)}
env_key = "${KEY}"
wire_api = "responses"
`,
    }),
    start: () => [key, 'codex'],
  },
  opencode: {
    what: 'opencode',
    settings: ({ url, model, small, context, folder }) => ({
      kind: 'json',
      path: join(folder, 'opencode.json'),
      fields: {
        $schema: 'https://opencode.ai/config.json',
        model: `weir/${model}`,
        small_model: `weir/${small}`,
        provider: {
          weir: {
            npm: '@ai-sdk/openai-compatible',
            name: 'Weir',
            options: { baseURL: `${url}/v1`, apiKey: `{env:${KEY}}` },
            models: Object.fromEntries(
              [...new Set([model, small])].map((id) => [
                id,
                { name: id, limit: { context, output: Math.min(32_000, Math.ceil(context / 4)) } },
              ]),
            ),
          },
        },
      },
    }),
    start: () => [key, 'opencode'],
  },
  'openai-agents': {
    what: 'OpenAI Agents (npm @openai/agents)',
    settings: module(
      {
        '@openai/agents': '{ setDefaultOpenAIClient, setTracingDisabled }',
        openai: 'OpenAI',
      },
      ({ url, model }) => `const apiKey = process.env.${KEY} ?? 'none'
setDefaultOpenAIClient(new OpenAI({ baseURL: ${JSON.stringify(`${url}/v1`)}, apiKey }))
// traces go to OpenAI, with a key of theirs
setTracingDisabled(true)

/** for new Agent({ model, ... }) */
export const model = ${JSON.stringify(model)}
`,
    ),
    start: imported,
  },
  'ai-sdk': {
    what: 'the AI SDK (npm ai, @ai-sdk/openai)',
    settings: module(
      {
        '@ai-sdk/openai': '{ createOpenAI }',
        ai: '{ defaultSettingsMiddleware, wrapLanguageModel }',
      },
      ({ url, model }) => `const apiKey = process.env.${KEY} ?? 'none'
const weir = createOpenAI({ name: 'weir', baseURL: ${JSON.stringify(`${url}/v1`)}, apiKey })

/** for generateText({ model, ... }): without store, each request repeats what earlier ones said */
export const model = wrapLanguageModel({
  model: weir.responses(${JSON.stringify(model)}),
  middleware: defaultSettingsMiddleware({
    settings: { providerOptions: { openai: { store: false }, weir: { store: false } } },
  }),
})
`,
    ),
    start: imported,
  },
  langchain: {
    what: 'LangChain (npm @langchain/openai)',
    settings: module(
      { '@langchain/openai': '{ ChatOpenAI }' },
      ({ url, model }) => `const apiKey = process.env.${KEY} ?? 'none'

/** for model.invoke(...), and wherever a chat model is taken */
export const model = new ChatOpenAI({
  model: ${JSON.stringify(model)},
  apiKey,
  configuration: { baseURL: ${JSON.stringify(`${url}/v1`)} },
})
`,
    ),
    start: imported,
  },
} as const satisfies Record<string, ClientRow>

export type ClientName = keyof typeof CLIENTS
export const CLIENT_NAMES = Object.keys(CLIENTS) as ClientName[]
