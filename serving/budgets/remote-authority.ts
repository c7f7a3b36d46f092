import { WeirError } from '../../core/errors.ts'
import { type PrimaryChannel, within } from '../state/primary-channel.ts'
import type { BudgetAuthority } from './authority.ts'
import type { BudgetRefusal, BudgetState, Claim } from './book.ts'
import type { BudgetSettings } from './settings.ts'

/** What a worker asks the primary's authority. */
export type BudgetQuestion =
  | { readonly do: 'declare'; readonly budgets: readonly BudgetSettings[] }
  | { readonly do: 'reserve'; readonly id: string; readonly claim: Claim }
  | { readonly do: 'refused'; readonly budget: string }
  | { readonly do: 'settle'; readonly id: string; readonly nanos: number }
  | { readonly do: 'states' }

export const BUDGET_TOPIC = 'budget'

/** A refusal is believed for so long, in milliseconds, before the primary is asked again. */
const BELIEVED_MS = 250

/** Longest wait for the primary, in milliseconds. */
const ANSWER_MS = 5000

/** The primary's authority, from a worker. */
export function remoteAuthority(line: PrimaryChannel, now: () => number): BudgetAuthority {
  const refusals = new Map<string, { refusal: BudgetRefusal; nanos: number; at: number }>()
  const ask = (question: BudgetQuestion): Promise<unknown> => line.ask(BUDGET_TOPIC, question)
  const tell = (question: BudgetQuestion): void => line.tell(BUDGET_TOPIC, question)
  return {
    declare: (budgets) => tell({ do: 'declare', budgets }),
    async reserve(id, claim) {
      let refusal: BudgetRefusal | undefined
      try {
        const asked = ask({ do: 'reserve', id, claim })
        refusal = (await within(asked, ANSWER_MS)) as BudgetRefusal | undefined
      } catch (cause) {
        // it may be granted yet: nothing is asked of any model for it
        tell({ do: 'settle', id, nanos: 0 })
        const what = 'its primary process does not keep its budgets'
        throw new WeirError('overloaded', { what }, { cause, retryAfter: 1 })
      }
      if (refusal) refusals.set(refusal.budget, { refusal, nanos: claim.nanos, at: now() })
      return refusal
    },
    query({ budgets, nanos }) {
      for (const name of budgets) {
        const known = refusals.get(name)
        if (known && nanos >= known.nanos && now() - known.at < BELIEVED_MS) return known.refusal
      }
      return undefined
    },
    refused: (budget) => tell({ do: 'refused', budget }),
    settle: (id, nanos) => tell({ do: 'settle', id, nanos }),
    states: async () => (await ask({ do: 'states' })) as BudgetState[],
    // so that what was settled last has arrived
    close: async () => {
      await within(ask({ do: 'states' }), ANSWER_MS).catch(() => {})
    },
  }
}
