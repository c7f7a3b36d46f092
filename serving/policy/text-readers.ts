import { type Encoder, isRemote } from '../../models/encoders/encoder.ts'
import { openLanguageOf } from './condition.ts'
import { type PolicyAtWork, usedRows } from './registry.ts'
import { buildSemanticIndex } from './semantic.ts'
import type { PolicyServices } from './step.ts'

/** A source of encoders by name. Each encoder taken must be given back. */
export interface EncoderSource {
  take(name: string): Promise<Encoder>
  give(name: string): Promise<void>
}

/** The language detector and semantic index of a policy, if its file needs them. */
export interface TextReaders {
  readonly readers: Pick<PolicyServices, 'languageOf' | 'semantic'>
  close(): Promise<void>
}

/** Builds the semantic index and opens the language detector. @throws whatever making the encoder throws */
export async function openTextReaders(
  policy: PolicyAtWork,
  encoders: EncoderSource,
): Promise<TextReaders> {
  const conditions = usedRows(policy).flatMap(
    ({ row, section }) => row.reads?.(section).conditions ?? [],
  )
  const asksLanguage = conditions.some(({ when }) => when?.language !== undefined)
  const languageOf = asksLanguage ? await openLanguageOf() : undefined
  const { semantic: section } = policy.file
  if (!section) return { readers: { languageOf }, close: async () => {} }
  const encoder = await encoders.take(section.encoder)
  const close = (): Promise<void> => encoders.give(section.encoder)
  try {
    const semantic = await buildSemanticIndex(
      section.routes,
      section.none_of_these ?? [],
      async (texts, signal) => (await encoder.encode(texts, signal)).embeddings,
      { remote: isRemote(encoder.spec) },
    )
    return { readers: { languageOf, semantic }, close }
  } catch (error) {
    await close()
    throw error
  }
}

interface Shared {
  readonly encoder: Promise<Encoder>
  uses: number
}

/** Opens each encoder once, for any number of policies, and closes it when none uses it. */
export class EncoderPool {
  readonly #make: (name: string) => Promise<Encoder>
  readonly #open = new Map<string, Shared>()

  constructor(make: (name: string) => Promise<Encoder>) {
    this.#make = make
  }

  /** The caller must `give` it back. @throws errors of making it */
  async take(name: string): Promise<Encoder> {
    let shared = this.#open.get(name)
    if (!shared) {
      shared = { encoder: this.#make(name), uses: 0 }
      this.#open.set(name, shared)
    }
    shared.uses++
    try {
      return await shared.encoder
    } catch (error) {
      if (this.#open.get(name) === shared) this.#open.delete(name)
      throw error
    }
  }

  async give(name: string): Promise<void> {
    const shared = this.#open.get(name)
    if (!shared || --shared.uses > 0) return
    this.#open.delete(name)
    await (await shared.encoder).close?.()
  }
}
