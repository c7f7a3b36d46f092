import type { Encoder } from '../../models/encoders/encoder.ts'

interface Shared {
  readonly encoder: Promise<Encoder>
  uses: number
}

/** Encoders by their names, each opened once however many policies use it, and closed when none does. */
export class EncoderPool {
  readonly #make: (name: string) => Promise<Encoder>
  readonly #open = new Map<string, Shared>()

  constructor(make: (name: string) => Promise<Encoder>) {
    this.#make = make
  }

  /** Every taker must `give` it back. @throws what making it throws */
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
