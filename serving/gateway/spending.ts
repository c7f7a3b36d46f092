import type { Budgets } from '../budgets/open.ts'
import type { BudgetQuestion, Reservation } from '../budgets/reservations.ts'
import { refusalError } from '../budgets/reservations.ts'
import type { Attempt, GatewayRequest, Plan, ServedObserver } from './contracts.ts'
import type { Admit } from './dispatch.ts'

/** Outcomes of attempts where the upstream did no work: it could not be reached, or refused by a status. */
const UNBILLED = new Set([
  'unreachable',
  'rate_limited',
  'server_error',
  'rejected',
  'misconfigured',
])

/** Whether an attempt may be on the bill: an answer that was late, cut or given up was worked on. */
const mayBeBilled = (outcome: string): boolean => !UNBILLED.has(outcome)

/** The rule or route that decided, else the step: what spending is counted under. */
const routeOf = ({ deciding }: Plan): string => deciding.name ?? deciding.step

/** Reserves what each attempt may cost before it is made. */
export const reserving =
  (budgets: Pick<Budgets, 'reserve'>): Admit =>
  ({ endpoint, request, plan, target, body, text }) =>
    budgets.reserve({
      key: request.caller.name,
      route: plan && routeOf(plan),
      model: target.model,
      endpoint,
      body,
      text,
      system: target.system,
      parameters: target.parameters,
    })

/** Ends the reservation of an attempt that has ended, by what came of it. */
export function endReservation(reservation: Reservation, attempt: Attempt): void {
  const { outcome, usage, costUsd } = attempt
  if (usage && !usage.partial && costUsd !== undefined) reservation.commit(costUsd)
  else if (mayBeBilled(outcome)) reservation.commitBound()
  else reservation.release()
}

/** Writes down what each request spent. */
export const spendObserver =
  (budgets: Pick<Budgets, 'record'>): ServedObserver =>
  ({ request, plan, model, attempts, savedUsd }) =>
    budgets.record({
      id: request.id,
      key: request.caller.name,
      route: routeOf(plan),
      model,
      attempts: attempts.map(({ model, usage, costUsd, outcome }) => ({
        model,
        usage,
        costUsd,
        billable: mayBeBilled(outcome),
      })),
      savedUsd,
    })

/** Why a budget closes a model to a request. */
export interface BudgetClosed {
  readonly reason: string
  readonly status: 402
  readonly retryAfter?: number
}

/** Whether a budget that downgrades closes the model to the request, as far as is known here. Never waits. */
export function closedByBudget(
  budgets: Pick<Budgets, 'query'>,
  model: string,
  request: GatewayRequest,
): BudgetClosed | undefined {
  const { body, caller } = request
  // another endpoint's: its one model is asked or refused as it is sent
  if (body.messages.length === 0) return undefined
  const question: BudgetQuestion = {
    key: caller.name,
    route: undefined,
    model,
    endpoint: 'chat',
    body,
  }
  const refusal = budgets.query(question)
  if (refusal?.action !== 'downgrade') return undefined
  const { message, retryAfter } = refusalError(refusal, model)
  return { reason: message, status: 402, ...(retryAfter === undefined ? {} : { retryAfter }) }
}
