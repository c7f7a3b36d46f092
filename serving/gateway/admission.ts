import type { Usage } from '../upstreams/upstream.ts'
import type { Dispatch } from './dispatch.ts'

/** Leave to ask a model once. */
export interface Hold {
  /** What came of it: an attempt's outcome and tokens. The first call counts. */
  settle(outcome: string, usage: Usage | undefined): void
}

/**
 * Asked before every attempt; what it throws refuses it. `model_over_budget` lets other targets be tried.
 * Undefined where nothing counts it.
 */
export type Admit = (dispatch: Dispatch) => Hold | undefined | Promise<Hold | undefined>

/** The outcome of an attempt that never went out. */
export const NOT_SENT = 'not_sent'
