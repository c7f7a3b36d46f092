import type { Desk } from '../primary-line.ts'
import type { LocalAuthority } from './local-authority.ts'
import type { BudgetQuestion } from './remote-authority.ts'

const begin = (worker: number): string => `w${worker}:`

/** Answers workers' questions about budgets, in the primary. */
export const budgetDesk =
  (authority: LocalAuthority): Desk =>
  (asked, worker) => {
    const question = asked as BudgetQuestion
    switch (question.do) {
      case 'declare':
        return authority.declare(question.budgets)
      case 'reserve':
        return authority.reserve(begin(worker) + question.id, question.claim)
      case 'settle':
        return authority.settle(begin(worker) + question.id, question.nanos)
      case 'states':
        return authority.states()
    }
  }

/** A worker has died: what it had under way may have been billed. */
export const abandonWorker = (authority: LocalAuthority, worker: number): void =>
  authority.abandon(begin(worker))
