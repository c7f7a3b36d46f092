import Type from 'typebox'

/** How token vectors become one vector (sentence-transformers' Pooling module). */
export const Pooling = Type.Union([
  Type.Literal('mean'),
  Type.Literal('cls'),
  Type.Literal('max'),
  Type.Literal('mean_sqrt_len'),
  Type.Literal('weighted_mean'),
  Type.Literal('last_token'),
])
export type Pooling = Type.Static<typeof Pooling>

/**
 * The settings resolved from a folder's configuration files: all that is needed to run the model besides its
 * files.
 */
export const HfSettings = Type.Object({
  pooling: Pooling,
  normalise: Type.Boolean(),
  /** includes special tokens and prefix */
  max_tokens: Type.Integer({ minimum: 4 }),
  /** put before every prompt, such as e5's `query: ` */
  prefix: Type.String(),
  /** false for instruction models that leave the prefix's tokens out of the pooling */
  pool_prefix: Type.Boolean(),
  lowercase: Type.Boolean(),
  /** the graph output to read; `sentence_embedding` is already pooled */
  output: Type.String(),
  /** rows per run: 1 if the graph quantises activations over the whole batch */
  batch: Type.Integer({ minimum: 1 }),
})
export type HfSettings = Type.Static<typeof HfSettings>
