import Type from 'typebox'
import type { Embeddings } from './embeddings.ts'

/** What a bundle's manifest says of its encoder: enough to load it again from the bundle's files. */
export const EncoderSpec = Type.Object({
  kind: Type.String({ description: 'a row of the encoder registry' }),
  id: Type.String({ description: 'kind, settings and the hash of the fitted state' }),
  dimension: Type.Integer({ minimum: 1 }),
  output: Type.Union([Type.Literal('dense'), Type.Literal('sparse')]),
  files: Type.Array(Type.String(), { description: 'paths inside the bundle' }),
  options: Type.Record(Type.String(), Type.Unknown()),
})
export type EncoderSpec = Type.Static<typeof EncoderSpec>

/** Whether prompts are sent to another machine to be encoded, by the encoder or by a part of it. */
export function isRemote({ kind, options }: Pick<EncoderSpec, 'kind' | 'options'>): boolean {
  const parts = Array.isArray(options.parts) ? (options.parts as EncoderSpec[]) : []
  return kind === 'openai' || parts.some(isRemote)
}

export interface Encoded {
  readonly embeddings: Embeddings
  /** 1 where the prompt was longer than the encoder reads and its middle was left out; one a row. */
  readonly truncated: Uint8Array
}

/**
 * What turns prompts into embeddings. Deterministic: a prompt's row is the same alone or in any batch.
 * Every implementation passes `testing/encoder-contract.ts`.
 */
export interface Encoder {
  readonly spec: EncoderSpec
  /** Rows in the order of the prompts. Throws `cancelled` once the signal is aborted. */
  encode(prompts: readonly string[], signal?: AbortSignal): Promise<Encoded>
  /**
   * One prompt's row at once, for encoders that never leave the thread: a request saves its waits. What
   * it returns is good until the next call.
   */
  encodeNow?(prompt: string): Encoded
  /** Names of the embedding's dimensions where they mean something to a person (for `explain`). */
  featureNames?(prompt: string): ReadonlyMap<number, string>
  close?(): Promise<void>
}

/** A fitted or converted encoder, with the files a bundle must carry for it. */
export interface EncoderArtifact {
  readonly encoder: Encoder
  readonly files: ReadonlyMap<string, Uint8Array>
}
