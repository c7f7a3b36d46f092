import { WeirError } from '../../core/errors.ts'
import type { Encoder, EncoderSpec } from './encoder.ts'

type InlineOpener = (
  spec: EncoderSpec,
  files: ReadonlyMap<string, Uint8Array>,
  threads: number,
) => Promise<Encoder>

/** Encoders that take over about a millisecond a prompt, and so run in worker threads, by kind. */
const SLOW: Readonly<Record<string, InlineOpener>> = {
  'use-lite': async (spec, files, threads) =>
    (await import('./use-lite/encoder.ts')).openUseLite(spec, files, threads),
  hf: async (spec, files, threads) =>
    (await import('./hf/encoder.ts')).openHf(spec, files, threads),
}

/** Opens a slow encoder on the calling thread: what a worker does, and a benchmark. */
export function openInline(
  spec: EncoderSpec,
  files: ReadonlyMap<string, Uint8Array>,
  threads = 1,
): Promise<Encoder> {
  const open = Object.hasOwn(SLOW, spec.kind) ? SLOW[spec.kind] : undefined
  if (!open) throw new WeirError('encoder_unknown', { kind: spec.kind, known: Object.keys(SLOW) })
  return open(spec, files, threads)
}
