import { type ErrorCode, WeirError } from '../../core/errors.ts'
import { type ModelTerms, type Question, upperBound } from './bound.ts'
import type { BudgetRefusal, Claim } from './ledger.ts'
import { type BudgetSettings, counts, type SpendLabels } from './settings.ts'
import type { BudgetStore } from './store.ts'
import { type Nanodollars, nanosOf } from './units.ts'

/** One question to a model: what budgets count it under, and the limits on its cost. */
export type BudgetQuestion = Question & Omit<SpendLabels, 'tier'>

/** Permission to ask a model once. Exactly one of the three methods ends it; further calls do nothing. */
export interface Reservation {
  /** The answer's tokens were counted. @param usd its cost in US dollars */
  commit(usd: number): void
  /** It may be billed although its tokens were not counted: its upper bound counts as spent. */
  commitBound(): void
  /** Nothing was sent, or nothing will be billed. */
  release(): void
}

export interface ReservationsOptions {
  readonly store: BudgetStore
  readonly declared: DeclaredBudgets
  /** by model: what budgets need to know about it, if known */
  readonly terms: ReadonlyMap<string, ModelTerms>
  /** prefix of the ids of this process's reservations */
  readonly owner: string
  /** called if an answer cost more than its upper bound */
  readonly onOverrun: (model: string, reserved: Nanodollars, cost: Nanodollars) => void
}

/** Reserves the upper bound of each question before it is asked, and commits its actual cost after. */
export class Reservations {
  readonly #options: ReservationsOptions
  #count = 0

  constructor(options: ReservationsOptions) {
    this.#options = options
  }

  /**
   * Permission to ask; undefined if no budget counts the question.
   *
   * @throws budget_spent, model_over_budget, overloaded
   */
  reserve(question: BudgetQuestion): Reservation | undefined | Promise<Reservation | undefined> {
    const claim = this.#claim(question)
    if (!claim) return undefined
    const { store, owner } = this.#options
    const { model } = question
    const id = `${owner}-${++this.#count}`
    const verdict = store.reserve(id, claim)
    const judged = (refusal: BudgetRefusal | undefined): Reservation => {
      if (refusal) throw refusalError(refusal, model)
      return this.#reservation(id, model, claim)
    }
    return verdict instanceof Promise ? verdict.then(judged) : judged(verdict)
  }

  /**
   * Why `reserve` would refuse the question now, as far as this process knows. No side effects, never waits.
   */
  query(question: BudgetQuestion): BudgetRefusal | undefined {
    const claim = this.#claim(question)
    return claim && this.#options.store.query(claim)
  }

  #claim(question: BudgetQuestion): Claim | undefined {
    const { declared, terms } = this.#options
    if (declared.empty) return undefined
    const budgets = declared.counting(question)
    const its = terms.get(question.model)
    if (budgets.length === 0 || !its) return undefined
    return { budgets, nanos: upperBound(question, its) }
  }

  #reservation(id: string, model: string, { nanos: bound }: Claim): Reservation {
    const { store, onOverrun } = this.#options
    let ended = false
    const end = (nanos: Nanodollars): void => {
      if (ended) return
      ended = true
      if (nanos > bound) onOverrun(model, bound, nanos)
      store.commit(id, nanos)
    }
    return {
      commit: (usd) => end(nanosOf(usd)),
      commitBound: () => end(bound),
      release: () => end(0),
    }
  }
}

export function refusalError(refusal: BudgetRefusal, model: string): WeirError {
  const { budget, usd, per, reason, action, retryAfter } = refusal
  const code: ErrorCode = action === 'stop' ? 'budget_spent' : 'model_over_budget'
  const limit = `$${usd}${per === 'total' ? ' in total' : ` a ${per}`}`
  const parameters = { model, budget, limit, reason: REASONS[reason] }
  return new WeirError(code, parameters, retryAfter === undefined ? {} : { retryAfter })
}

const REASONS: Readonly<Record<BudgetRefusal['reason'], string>> = {
  spent: 'has too little left for what this answer may cost; a smaller max_tokens may fit',
  held: 'is taken up by answers under way; some of it comes back when they end',
  too_large: 'is less than this answer alone may cost; max_tokens bounds it',
}

/**
 * The budgets of a process: those of its configuration and of the policies it serves. All of them count for
 * every request; if two sources define one of the same name it is one budget, with the later definition.
 */
export class DeclaredBudgets {
  readonly #sources = new Map<string, Source>()
  #budgets: readonly BudgetSettings[] = []
  #tiers: ReadonlyMap<string, string> = new Map()

  get empty(): boolean {
    return this.#budgets.length === 0
  }

  get all(): readonly BudgetSettings[] {
    return this.#budgets
  }

  /** @param tiers of keys, by name */
  set(
    source: string,
    budgets: readonly BudgetSettings[],
    tiers: Readonly<Record<string, string>> = {},
  ): void {
    this.#sources.set(source, { budgets, tiers })
    const sources = [...this.#sources.values()]
    const all = sources.flatMap((one) =>
      one.budgets.map((budget) => [budget.name, budget] as const),
    )
    this.#budgets = [...new Map(all).values()]
    this.#tiers = new Map(sources.flatMap((one) => Object.entries(one.tiers)))
  }

  /** Names of the budgets that count a question. */
  counting(labels: Omit<SpendLabels, 'tier'>): string[] {
    const tier = this.#tiers.get(labels.key)
    const names: string[] = []
    for (const budget of this.#budgets) {
      if (counts(budget, { ...labels, tier })) names.push(budget.name)
    }
    return names
  }
}

interface Source {
  readonly budgets: readonly BudgetSettings[]
  readonly tiers: Readonly<Record<string, string>>
}
