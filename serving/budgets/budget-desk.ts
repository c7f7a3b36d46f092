import type { TopicHandler } from '../state/primary-channel.ts'
import type { LocalAuthority } from './local-authority.ts'
import type { BudgetQuestion } from './remote-authority.ts'
import type { BudgetSettings } from './settings.ts'

/** The primary's side of its workers' budgets. */
export class BudgetDesk {
  readonly #authority: LocalAuthority
  /** by worker: one that starts, or has not reloaded yet, does not take away what the others count for */
  readonly #declared = new Map<number, readonly BudgetSettings[]>()

  constructor(authority: LocalAuthority) {
    this.#authority = authority
  }

  answer: TopicHandler = (asked, worker) => {
    const question = asked as BudgetQuestion
    const id = (its: string): string => `${begin(worker)}${its}`
    switch (question.do) {
      case 'declare':
        return this.#declare(worker, question.budgets)
      case 'reserve':
        return this.#authority.reserve(id(question.id), question.claim)
      case 'refused':
        return this.#authority.refused(question.budget)
      case 'settle':
        return this.#authority.settle(id(question.id), question.nanos)
      case 'states':
        return this.#authority.states()
    }
  }

  /** A worker has died: what it had under way may have been billed. */
  gone(worker: number): void {
    this.#authority.abandon(begin(worker))
    this.#declared.delete(worker)
  }

  /** All that any of them counts for; of one name, as it was said last. */
  #declare(worker: number, budgets: readonly BudgetSettings[]): void {
    this.#declared.delete(worker)
    this.#declared.set(worker, budgets)
    const all = [...this.#declared.values()].flat().map((budget) => [budget.name, budget] as const)
    this.#authority.declare([...new Map(all).values()])
  }
}

const begin = (worker: number): string => `w${worker}:`
