import Type from 'typebox'
import { Check } from 'typebox/value'
import { WeirError } from '../../core/errors.ts'
import type { Embeddings } from './embeddings.ts'

/** The encoder's entry in a bundle's manifest: enough to load it again from the bundle's files. */
export const EncoderSpec = Type.Object({
  kind: Type.String({ description: 'a row of the encoder registry' }),
  id: Type.String({ description: 'kind, settings and the hash of the fitted state' }),
  dimension: Type.Integer({ minimum: 1 }),
  output: Type.Union([Type.Literal('dense'), Type.Literal('sparse')]),
  files: Type.Array(Type.String(), { description: 'paths inside the bundle' }),
  options: Type.Record(Type.String(), Type.Unknown()),
})
export type EncoderSpec = Type.Static<typeof EncoderSpec>

/** The spec of the encoder that another one reads texts for. @throws bundle_invalid */
export function innerSpec({ options }: EncoderSpec, folder: string): EncoderSpec {
  if (Check(EncoderSpec, options.inner)) return options.inner
  const reason = 'encoder.options.inner: expected the spec of an encoder'
  throw new WeirError('bundle_invalid', { path: folder, reason })
}

/** The specs of the encoders that an encoder is made of; none for one that reads texts itself. */
export function partsOf({ options }: Pick<EncoderSpec, 'options'>): readonly EncoderSpec[] {
  const { parts, inner } = options
  return [...(Array.isArray(parts) ? parts : []), ...(inner ? [inner] : [])] as EncoderSpec[]
}

/** Whether the encoder, or a part of it, sends prompts to another machine. */
export function isRemote({ kind, options }: Pick<EncoderSpec, 'kind' | 'options'>): boolean {
  return kind === 'openai' || partsOf({ options }).some(isRemote)
}

export interface Encoded {
  readonly embeddings: Embeddings
  /** one per row: 1 if the prompt was longer than the encoder reads and its middle was left out */
  readonly truncated: Uint8Array
  /** one per row: how unlike the training prompts it is, 0 to 1 (`familiar`); absent if the encoder does not know */
  readonly ood?: Float32Array | undefined
}

/**
 * Turns prompts into embeddings. Deterministic: a prompt's row is the same alone or in any batch. Every
 * implementation passes `testing/encoder-contract.ts`.
 */
export interface Encoder {
  readonly spec: EncoderSpec
  /** Rows in the order of the prompts. Throws `cancelled` once the signal is aborted. */
  encode(prompts: readonly string[], signal?: AbortSignal): Promise<Encoded>
  /**
   * Encodes one prompt synchronously, for encoders that never leave the thread; saves a request its waits.
   * The result is valid until the next call.
   */
  encodeNow?(prompt: string): Encoded
  /** Names of the embedding's dimensions, if they are meaningful to a person (for `explain`). */
  featureNames?(prompt: string): ReadonlyMap<number, string>
  /** What the encoder reads of a text, if not all of it (for `explain`). */
  read?(prompt: string): string
  /** the names of a reading's fields, in order, for an encoder that reads them (see `context.ts`) */
  readonly fieldNames?: readonly string[] | undefined
  /** the columns that are plain features of the text, such as its length, which declared categories may cross */
  readonly plainColumns?: { readonly from: number; readonly count: number }
  close?(): Promise<void>
}

/** A fitted or converted encoder, with the files a bundle must carry for it. */
export interface EncoderArtifact {
  readonly encoder: Encoder
  readonly files: ReadonlyMap<string, Uint8Array>
}
