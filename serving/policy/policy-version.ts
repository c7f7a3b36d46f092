import { readFile } from 'node:fs/promises'
import { WeirError } from '../../core/errors.ts'
import { type CheckedPolicy, checkPolicy } from './check.ts'
import type { EncoderPool } from './encoder-pool.ts'
import { assertPolicyFits } from './fit.ts'
import type { FleetRouter } from './fleet-router.ts'
import type { PolicyNeeds } from './needs.ts'
import { createPolicy, type FilePolicy } from './pipeline.ts'
import { openTextReaders } from './text-readers.ts'

export interface VersionOptions extends Omit<PolicyNeeds, 'learned' | 'semantic'> {
  readonly learned: FleetRouter
  /** names of `gateway.models` */
  readonly models: readonly string[]
  readonly encoders: EncoderPool
}

/**
 * One text of a policy file at work. It is closed when it has been retired and the last request that took
 * it has let go, so that a request sees one policy from its beginning to its end.
 */
export class PolicyVersion {
  readonly checked: CheckedPolicy
  readonly policy: FilePolicy
  readonly #close: () => Promise<void>
  #leases = 0
  #retired = false

  private constructor(checked: CheckedPolicy, policy: FilePolicy, close: () => Promise<void>) {
    this.checked = checked
    this.policy = policy
    this.#close = close
  }

  /** @throws config_invalid, and whatever making the encoder throws */
  static async open(checked: CheckedPolicy, options: VersionOptions): Promise<PolicyVersion> {
    assertFits(checked, options)
    const { needs, close } = await openTextReaders(checked.file, options.encoders)
    return new PolicyVersion(checked, createPolicy(checked, { ...options, ...needs }), close)
  }

  get hash(): string {
    return this.checked.source.hash
  }

  get text(): string {
    return this.checked.source.text
  }

  async using<T>(work: (policy: FilePolicy) => Promise<T>): Promise<T> {
    this.#leases++
    try {
      return await work(this.policy)
    } finally {
      this.#leases--
      if (this.#retired && this.#leases === 0) void this.#close()
    }
  }

  /** Resolves once it is closed, or at once where requests still use it. */
  async retire(): Promise<void> {
    if (this.#retired) return
    this.#retired = true
    if (this.#leases === 0) await this.#close()
  }
}

/** Holds a policy to the models and routers that it is served beside. @throws config_invalid */
export function assertFits(
  checked: CheckedPolicy,
  { models, learned }: Pick<VersionOptions, 'models' | 'learned'>,
): void {
  assertPolicyFits(checked, { models, pairs: learned.pairs(checked.file.learned?.router) })
}

/** @throws file_not_found, config_invalid with file and line */
export async function readPolicy(path: string): Promise<CheckedPolicy> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
  return checkPolicy(text, path)
}
