import { NOT_SENT } from '../gateway/admission.ts'

/** Outcomes where the upstream did no work: it could not be reached, or refused by a status. */
const UNBILLED = new Set([
  NOT_SENT,
  'unreachable',
  'rate_limited',
  'server_error',
  'rejected',
  'misconfigured',
])

/** Whether an attempt may be on the bill: an answer that was late, cut or given up was worked on. */
export const mayBeBilled = (outcome: string): boolean => !UNBILLED.has(outcome)
