import { createHash } from 'node:crypto'
import type { PolicyCandidate, PolicyHooks, PolicyLoaded } from '../policy/live-policies.ts'
import { approvalsIn, approvedState, type ProposalState } from './approvals.ts'
import type { AuditEvent, AuditLog } from './audit-log.ts'

export interface AuditedPolicies {
  /** absent if nothing is logged */
  readonly audit: AuditLog | undefined
  /** folder of proposals and approvals; policies need none if absent */
  readonly approvals: string | undefined
  /** called when the audit log cannot be written: the policy serves all the same */
  readonly onWarning: (message: string, error: unknown) => void
}

/** Refuses policies without an approval, where one is required, and writes to the audit log which policies serve. */
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

/**
 * With more lines than this between the equal ends, all old lines are listed, then all new ones: bounds time
 * and memory.
 */
const LIMIT = 2_000

/**
 * The lines to remove (`-12 old`) and to add (`+12 new`) to turn one text into the other, each with its number
 * in its own text. By a longest common subsequence of what is left between equal ends.
 */
export function lineDiff(before: string, after: string): string {
  const [a, b] = [before.split('\n'), after.split('\n')]
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start++
  let end = 0
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++
  const [mine, its] = [a.slice(start, a.length - end), b.slice(start, b.length - end)]
  const kept = Math.max(mine.length, its.length) > LIMIT ? [] : common(mine, its)
  const out: string[] = []
  let [i, j] = [0, 0]
  for (const [x, y] of [...kept, [mine.length, its.length] as const]) {
    while (i < x) out.push(`-${start + i + 1} ${mine[i++]}`)
    while (j < y) out.push(`+${start + j + 1} ${its[j++]}`)
    i++
    j++
  }
  return out.join('\n')
}

/** Index pairs of a longest common subsequence, ascending. */
function common(a: readonly string[], b: readonly string[]): (readonly [number, number])[] {
  const width = b.length + 1
  const best = new Uint16Array((a.length + 1) * width)
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      best[i * width + j] =
        a[i] === b[j]
          ? best[(i + 1) * width + j + 1]! + 1
          : Math.max(best[(i + 1) * width + j]!, best[i * width + j + 1]!)
    }
  }
  const pairs: (readonly [number, number])[] = []
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) pairs.push([i++, j++])
    else if (best[(i + 1) * width + j]! >= best[i * width + j + 1]!) i++
    else j++
  }
  return pairs
}
