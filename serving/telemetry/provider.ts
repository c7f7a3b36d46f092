/** Whom an upstream belongs to, for spans and metrics. */
export interface Provider {
  /** `gen_ai.provider.name`: a well-known value of OpenTelemetry's GenAI conventions, where one fits */
  readonly name: string
  readonly address: string | undefined
  readonly port: number
  /** whether it gets the trace's headers (`forward_headers` names traceparent) */
  readonly propagates: boolean
}

/** Well-known names by host. */
const HOSTS: readonly (readonly [host: RegExp, name: string])[] = [
  [/(^|\.)openai\.azure\.com$|(^|\.)cognitiveservices\.azure\.com$/, 'azure.ai.openai'],
  [/\.(services|inference|models)\.ai\.azure\.com$/, 'azure.ai.inference'],
  [/(^|\.)openai\.com$/, 'openai'],
  [/(^|\.)anthropic\.com$/, 'anthropic'],
  [/^generativelanguage\.googleapis\.com$/, 'gcp.gemini'],
  [/aiplatform\.googleapis\.com$/, 'gcp.vertex_ai'],
  [/^bedrock.*\.amazonaws\.com$/, 'aws.bedrock'],
  [/(^|\.)mistral\.ai$/, 'mistral_ai'],
  [/(^|\.)cohere\.(com|ai)$/, 'cohere'],
  [/(^|\.)deepseek\.com$/, 'deepseek'],
  [/(^|\.)groq\.com$/, 'groq'],
  [/(^|\.)perplexity\.ai$/, 'perplexity'],
  [/(^|\.)x\.ai$/, 'x_ai'],
  [/(^|\.)moonshot\.(ai|cn)$/, 'moonshot_ai'],
  [/\.ml\.cloud\.ibm\.com$/, 'ibm.watsonx.ai'],
]

/** Well-known names by the AI SDK's package. */
const PACKAGES: Readonly<Record<string, string>> = {
  '@ai-sdk/amazon-bedrock': 'aws.bedrock',
  '@ai-sdk/anthropic': 'anthropic',
  '@ai-sdk/azure': 'azure.ai.openai',
  '@ai-sdk/cohere': 'cohere',
  '@ai-sdk/deepseek': 'deepseek',
  '@ai-sdk/google': 'gcp.gemini',
  '@ai-sdk/google-vertex': 'gcp.vertex_ai',
  '@ai-sdk/groq': 'groq',
  '@ai-sdk/mistral': 'mistral_ai',
  '@ai-sdk/openai': 'openai',
  '@ai-sdk/perplexity': 'perplexity',
  '@ai-sdk/xai': 'x_ai',
}

/**
 * The provider of an upstream by its address or its package. A server of an unknown host is named by the API that it
 * speaks, as the convention asks of proxies and of servers that are compatible with another's.
 */
export function providerOf(
  settings: { readonly kind?: unknown; readonly base_url?: unknown; readonly package?: unknown },
  propagates: boolean,
): Provider {
  const { kind = 'openai', base_url: base, package: module } = settings
  const url = typeof base === 'string' && URL.canParse(base) ? new URL(base) : undefined
  const host = url?.hostname.replace(/^\[|\]$/g, '')
  const known = host === undefined ? undefined : HOSTS.find(([pattern]) => pattern.test(host))?.[1]
  const packaged =
    typeof module === 'string' ? (PACKAGES[module.split('/', 2).join('/')] ?? module) : undefined
  return {
    name: known ?? packaged ?? String(kind),
    address: host,
    port: Number(url?.port) || (url?.protocol === 'http:' ? 80 : 443),
    propagates,
  }
}
