import Type from 'typebox'

/** An endpoint's settings in a manifest: everything but the key. */
export const OpenAiSettings = Type.Object({
  model: Type.String({ minLength: 1 }),
  /** the URL up to but without `/embeddings`; its query string is kept (Azure's `api-version`) */
  base_url: Type.String({ pattern: '^https?://' }),
  /** requested from the endpoint if the model can shorten its embeddings */
  dimensions: Type.Optional(Type.Integer({ minimum: 1 })),
  /** longer inputs are cut to this length; 8191 is OpenAI's limit */
  max_tokens: Type.Integer({ minimum: 16 }),
  /** inputs per request */
  batch: Type.Integer({ minimum: 1, maximum: 2048 }),
  /** concurrent requests */
  concurrency: Type.Integer({ minimum: 1, maximum: 64 }),
  timeout_ms: Type.Integer({ minimum: 1 }),
  /** the operator's connection that a bundle asks for, in place of the address above */
  connection: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' })),
  /** the environment variable that held the key in training; never looked up for a bundle */
  key_env: Type.String({ pattern: '^[A-Z][A-Z0-9_]*$' }),
})
export type OpenAiSettings = Type.Static<typeof OpenAiSettings>

export const DEFAULT_SETTINGS = {
  base_url: 'https://api.openai.com/v1',
  max_tokens: 8191,
  batch: 64,
  concurrency: 4,
  timeout_ms: 30_000,
  key_env: 'OPENAI_API_KEY',
} as const
