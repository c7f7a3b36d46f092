import Type from 'typebox'

/** What a manifest keeps of an endpoint: everything but the key. */
export const OpenAiSettings = Type.Object({
  model: Type.String({ minLength: 1 }),
  /** up to and without `/embeddings`; its query string is kept (Azure's `api-version`) */
  base_url: Type.String({ pattern: '^https?://' }),
  /** asked of the endpoint where the model can shorten its embeddings */
  dimensions: Type.Optional(Type.Integer({ minimum: 1 })),
  /** longer inputs are cut to it; 8191 is OpenAI's */
  max_tokens: Type.Integer({ minimum: 16 }),
  /** inputs a request */
  batch: Type.Integer({ minimum: 1, maximum: 2048 }),
  /** requests at a time */
  concurrency: Type.Integer({ minimum: 1, maximum: 64 }),
  timeout_ms: Type.Integer({ minimum: 1 }),
  /** the environment variable that holds the key */
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
