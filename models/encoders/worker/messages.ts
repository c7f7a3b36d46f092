import type { EncoderSpec } from '../encoder.ts'

/** Messages between a pool and its worker threads. */
export interface EncodeWorkerData {
  readonly spec: EncoderSpec
  readonly files: ReadonlyMap<string, Uint8Array>
  readonly threads: number
}

export interface EncodeBatch {
  readonly id: number
  readonly prompts: readonly string[]
}

export type EncodeReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'broken'; readonly reason: string }
  | { readonly kind: 'failed'; readonly id: number; readonly reason: string }
  | {
      readonly kind: 'done'
      readonly id: number
      readonly values: Float32Array
      readonly truncated: Uint8Array
    }
