import type { Encoder, EncoderSpec } from './encoder.ts'
import { WeirError } from './errors.ts'

type EncoderLoader = (spec: EncoderSpec, folder: string) => Promise<Encoder>

/** Every encoder this build can load, by kind; each file is opened when its kind is first asked for. */
export const ENCODERS: Readonly<Record<string, EncoderLoader>> = {
  lexical: async (spec, folder) =>
    (await import('./lexical/encoder.ts')).loadLexicalEncoder(spec, folder),
}

/** @param folder the bundle's folder, under which the spec's files lie */
export function loadEncoder(spec: EncoderSpec, folder: string): Promise<Encoder> {
  const load = Object.hasOwn(ENCODERS, spec.kind) ? ENCODERS[spec.kind] : undefined
  if (!load) {
    throw new WeirError('encoder_unknown', { kind: spec.kind, known: Object.keys(ENCODERS) })
  }
  return load(spec, folder)
}
