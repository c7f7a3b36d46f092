import { type Encoder, isRemote } from '../../models/encoders/encoder.ts'
import { asksLanguage, openLanguageOf } from './condition.ts'
import type { PolicyFile } from './file.ts'
import type { PolicyNeeds } from './needs.ts'
import { buildSemanticIndex } from './semantic.ts'

/** Where encoders come from, and go back to. */
export interface EncoderSource {
  take(name: string): Promise<Encoder>
  give(name: string): Promise<void>
}

/** What a policy reads texts with, as far as its file needs any. */
export interface TextReaders {
  readonly needs: Pick<PolicyNeeds, 'languageOf' | 'semantic'>
  close(): Promise<void>
}

/** Builds the semantic index and opens the language detector. @throws whatever making the encoder throws */
export async function openTextReaders(
  file: PolicyFile,
  encoders: EncoderSource,
): Promise<TextReaders> {
  const language = asksLanguage(file) ? { languageOf: await openLanguageOf() } : {}
  const { semantic } = file
  if (!semantic) return { needs: language, close: async () => {} }
  const encoder = await encoders.take(semantic.encoder)
  const close = (): Promise<void> => encoders.give(semantic.encoder)
  try {
    const index = await buildSemanticIndex(
      semantic.routes,
      semantic.none_of_these ?? [],
      async (texts, signal) => (await encoder.encode(texts, signal)).embeddings,
      { remote: isRemote(encoder.spec) },
    )
    return { needs: { ...language, semantic: index }, close }
  } catch (error) {
    await close()
    throw error
  }
}
