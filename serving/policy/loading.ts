/** A policy file as it was read, checked and found fit to serve. */
export interface PolicyCandidate {
  /** of `gateway.policies`, else the file's name without its ending */
  readonly name: string
  readonly path: string
  /** SHA-256 of the text, its first 12 hex digits */
  readonly hash: string
  readonly text: string
  /** of the policy that serves until now; undefined at the start */
  readonly previousHash: string | undefined
  readonly previousText: string | undefined
}

/** A policy that serves from now on. */
export interface PolicyLoaded extends PolicyCandidate {
  /** milliseconds since 1970 */
  readonly at: number
  /** what made it load: `start`, `SIGHUP`, `admin`, `a policy changed` */
  readonly why: string
}

/** A policy that was not taken; the one before it serves on. */
export interface PolicyRefused {
  readonly name: string
  readonly path: string
  readonly error: Error
  readonly at: number
  readonly why: string
}

/** Who wants to know of policies as they are loaded, or has a say in it. With `--workers`, called in each of them. */
export interface PolicyHooks {
  /** Before a policy serves. @throws WeirError where it must not: an approval is missing */
  admit?(candidate: PolicyCandidate, why: string): void | Promise<void>
  /** What `admit` hangs on beside the text: another answer, and a policy that was refused is worth another try. */
  admission?(): Promise<string>
  onPolicyLoaded?(loaded: PolicyLoaded): void | Promise<void>
  onPolicyRefused?(refused: PolicyRefused): void | Promise<void>
}

/** Both are asked and told; either may refuse. */
export function joinHooks(first: PolicyHooks, second: PolicyHooks): PolicyHooks {
  return {
    async admit(candidate, why) {
      await first.admit?.(candidate, why)
      await second.admit?.(candidate, why)
    },
    async admission() {
      return `${(await first.admission?.()) ?? ''} ${(await second.admission?.()) ?? ''}`.trim()
    },
    async onPolicyLoaded(loaded) {
      await first.onPolicyLoaded?.(loaded)
      await second.onPolicyLoaded?.(loaded)
    },
    async onPolicyRefused(refused) {
      await first.onPolicyRefused?.(refused)
      await second.onPolicyRefused?.(refused)
    },
  }
}
