import { createHash } from 'node:crypto'
import type { PolicyCandidate, PolicyHooks, PolicyLoaded } from '../policy/loading.ts'
import { approvalsIn, approvedState, type ProposalState } from './approvals.ts'
import type { AuditLog } from './audit-log.ts'
import type { AuditEvent } from './audit-record.ts'
import { lineDiff } from './line-diff.ts'

export interface AuditedPolicies {
  /** absent where nothing is logged */
  readonly audit: AuditLog | undefined
  /** folder of proposals and approvals; policies need none where absent */
  readonly approvals: string | undefined
  /** told where the audit log cannot be written: the policy serves all the same */
  readonly onWarning: (message: string, error: unknown) => void
}

/** Holds policies to their approval, where one is asked for, and writes down which of them serve. */
export function policyHooks({ audit, approvals, onWarning }: AuditedPolicies): PolicyHooks {
  const write = async (event: AuditEvent): Promise<void> => {
    try {
      await audit?.record(event)
    } catch (error) {
      onWarning('the audit log cannot be written', error)
    }
  }
  return {
    async admit(candidate) {
      if (approvals !== undefined) await approvedState(approvals, candidate)
    },
    ...(approvals !== undefined && { admission: () => approvalsIn(approvals) }),
    async onPolicyLoaded(loaded) {
      if (!audit) return
      const state = approvals === undefined ? undefined : await found(approvals, loaded)
      await write({ event: 'policy_loaded', ...described(loaded), ...approvalOf(state) })
    },
    onPolicyRefused: ({ name, path, error, why }) =>
      write({ event: 'policy_refused', name, path, why, error: error.message }),
  }
}

const found = (folder: string, candidate: PolicyCandidate): Promise<ProposalState | undefined> =>
  approvedState(folder, candidate).catch(() => undefined)

function described({
  name,
  path,
  text,
  previousText,
  why,
}: PolicyLoaded): Omit<AuditEvent, 'event'> {
  return {
    name,
    path,
    hash: sha256(text),
    ...(previousText === undefined
      ? {}
      : { previous_hash: sha256(previousText), diff: lineDiff(previousText, text) }),
    why,
  }
}

const approvalOf = (state: ProposalState | undefined): Partial<AuditEvent> =>
  state?.approval
    ? { proposed_by: state.proposal.by.name, approved_by: state.approval.by.name }
    : {}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
