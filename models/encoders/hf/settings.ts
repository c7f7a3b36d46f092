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

/** What a folder's configuration files say, resolved: all that running the model needs beside its files. */
export const HfSettings = Type.Object({
  pooling: Pooling,
  normalise: Type.Boolean(),
  /** special tokens and prefix included */
  max_tokens: Type.Integer({ minimum: 4 }),
  /** put before every prompt, as e5's `query: ` */
  prefix: Type.String(),
  /** false where instruction models leave the prefix's tokens out of the pooling */
  pool_prefix: Type.Boolean(),
  lowercase: Type.Boolean(),
  /** the graph's output to read; `sentence_embedding` is pooled already */
  output: Type.String(),
  /** rows a run: 1 where the graph quantises activations over the whole batch */
  batch: Type.Integer({ minimum: 1 }),
})
export type HfSettings = Type.Static<typeof HfSettings>
