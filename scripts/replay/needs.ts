import { WeirError } from '../../core/errors.ts'
import type { Condition } from '../../serving/policy/condition.ts'
import { type PolicyAtWork, usedRows } from '../../serving/policy/registry.ts'
import type { LoggedRequests } from './rows.ts'

/** The first property of a request that the policy reads and the log may not contain. */
export interface PolicyReads {
  readonly text: string | undefined
  readonly metadata: string | undefined
}

export function policyReads(policy: PolicyAtWork): PolicyReads {
  const reads = usedRows(policy).map(({ row, section }) => row.reads?.(section) ?? {})
  const conditions = reads.flatMap((each) => each.conditions ?? [])
  const reading = (fields: readonly (keyof Condition)[]): string | undefined =>
    conditions.find(({ when }) => fields.some((field) => when?.[field] !== undefined))?.of
  return {
    text: reading(['keywords', 'regex', 'language']) ?? reads.find(({ text }) => text)?.text,
    metadata: reading(['metadata', 'tags']) ?? reads.find(({ metadata }) => metadata)?.metadata,
  }
}

/** @throws log_needs, log_lacks: names the switch of `weir serve` */
export function assertLogHolds(
  policy: PolicyAtWork,
  { text, metadata }: Pick<LoggedRequests, 'text' | 'metadata'>,
  path: string,
): void {
  const reads = policyReads(policy)
  if (reads.text !== undefined && text === 'none') {
    const what = `${reads.text} of the policy`
    throw new WeirError('log_needs', { what, option: '--log-text full', path, got: text })
  }
  if (reads.metadata !== undefined && !metadata) {
    const what = `${reads.metadata} of the policy`
    throw new WeirError('log_lacks', { what, needed: 'metadata', option: '--log-metadata', path })
  }
}
