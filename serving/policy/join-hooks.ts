import type { PolicyHooks } from './loading.ts'

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
