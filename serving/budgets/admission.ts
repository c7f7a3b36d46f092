import { type ErrorCode, WeirError } from '../../core/errors.ts'
import type { Admit, Hold } from '../gateway/admission.ts'
import type { Dispatch } from '../gateway/dispatch.ts'
import { usageCost } from '../gateway/ledger.ts'
import type { Usage } from '../upstreams/upstream.ts'
import type { BudgetAuthority } from './authority.ts'
import { mayBeBilled } from './billed.ts'
import type { BudgetRefusal, Claim } from './book.ts'
import { type ModelTerms, upperBound } from './bound.ts'
import type { DeclaredBudgets } from './declared-budgets.ts'
import { type Nanodollars, nanosOf } from './nanodollars.ts'
import { routeLabel } from './route-label.ts'

export interface AdmissionOptions {
  readonly authority: BudgetAuthority
  readonly declared: DeclaredBudgets
  /** by model: what budgets need to know of it, where that is known */
  readonly terms: ReadonlyMap<string, ModelTerms>
  /** begins the ids of this process's claims */
  readonly owner: string
  /** told where an answer cost more than its upper bound */
  readonly onOverrun: (model: string, claimed: Nanodollars, cost: Nanodollars) => void
}

/** Reserves an upper bound before each attempt, and settles it at the real cost after. */
export function createAdmission(options: AdmissionOptions): Admit {
  const { authority, declared, terms, owner, onOverrun } = options
  let holds = 0
  const hold = (id: string, model: string, claim: Claim): Hold => {
    let settled = false
    return {
      settle(outcome, usage) {
        if (settled) return
        settled = true
        const cost = billed(outcome, usage, claim.nanos, terms.get(model)!)
        if (cost > claim.nanos) onOverrun(model, claim.nanos, cost)
        authority.settle(id, cost)
      },
    }
  }
  return (dispatch) => {
    if (declared.empty) return undefined
    const claim = claimOf(dispatch, declared, terms)
    if (!claim) return undefined
    const { model } = dispatch.target
    const id = `${owner}-${++holds}`
    const verdict = authority.reserve(id, claim)
    const judged = (refusal: BudgetRefusal | undefined): Hold => {
      if (refusal) throw refused(refusal, model)
      return hold(id, model, claim)
    }
    return verdict instanceof Promise ? verdict.then(judged) : judged(verdict)
  }
}

type Question = Pick<Dispatch, 'endpoint' | 'request' | 'plan' | 'target' | 'body' | 'text'>

/** What a question is counted for, and how much it may come to; undefined where no budget counts it. */
export function claimOf(
  { endpoint, request, plan, target, body, text }: Question,
  declared: DeclaredBudgets,
  terms: ReadonlyMap<string, ModelTerms>,
): Claim | undefined {
  const { model } = target
  const budgets = declared.counting({
    key: request.caller.name,
    route: plan && routeLabel(plan),
    model,
  })
  if (budgets.length === 0) return undefined
  return { budgets, nanos: upperBound(endpoint, body, target, terms.get(model)!, text) }
}

/** What an attempt cost; its upper bound where nobody counted it but it may have been billed. */
function billed(
  outcome: string,
  usage: Usage | undefined,
  claimed: Nanodollars,
  { price }: ModelTerms,
): Nanodollars {
  if (usage && !usage.partial) return nanosOf(usageCost(price, usage))
  return mayBeBilled(outcome) ? claimed : 0
}

export function refused(refusal: BudgetRefusal, model: string): WeirError {
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
