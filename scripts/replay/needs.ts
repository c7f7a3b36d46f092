import { WeirError } from '../../core/errors.ts'
import type { PolicyFile } from '../../serving/policy/file.ts'
import type { LoggedRequests } from './rows.ts'

/** What a policy reads of a request that a log may not hold, and the first part of it that does. */
export interface PolicyReads {
  readonly text: string | undefined
  readonly metadata: string | undefined
}

export function policyReads(file: PolicyFile): PolicyReads {
  const conditions = [
    ...(file.guardrails ?? []).map(({ name, when }) => [`the guardrail ${name}`, when] as const),
    ...(file.rules ?? []).map(({ name, when }) => [`the rule ${name}`, when] as const),
  ]
  const reading = (keys: readonly string[]): string | undefined =>
    conditions.find(([, when]) => keys.some((key) => Object.hasOwn(when ?? {}, key)))?.[0]
  const privacy = file.privacy
  return {
    text:
      reading(['keywords', 'regex', 'language']) ??
      (file.semantic ? 'the semantic routes' : undefined) ??
      (privacy?.detect || privacy?.patterns ? 'privacy' : undefined),
    metadata: reading(['metadata', 'tags']) ?? (privacy?.tags ? 'privacy' : undefined),
  }
}

/** @throws log_needs, log_lacks: names the switch of `weir serve` */
export function assertLogHolds(
  file: PolicyFile,
  { text, metadata }: Pick<LoggedRequests, 'text' | 'metadata'>,
  path: string,
): void {
  const reads = policyReads(file)
  if (reads.text !== undefined && text === 'none') {
    const what = `${reads.text} of the policy`
    throw new WeirError('log_needs', { what, option: '--log-text full', path, got: text })
  }
  if (reads.metadata !== undefined && !metadata) {
    const what = `${reads.metadata} of the policy`
    throw new WeirError('log_lacks', { what, needed: 'metadata', option: '--log-metadata', path })
  }
}
