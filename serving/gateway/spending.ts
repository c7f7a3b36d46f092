import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import type { Budgets } from '../budgets/open.ts'
import { type BudgetQuestion, type Reservation, refusalError } from '../budgets/reservations.ts'

import { type BudgetSettings, listed } from '../budgets/settings.ts'
import type { PassedBody } from '../upstreams/upstream.ts'
import type { Admit, Attempt, GatewayRequest, Plan, ServedObserver, Target } from './contracts.ts'
import { costlyFields, type ParameterRules } from './parameters.ts'

/** The outcome of an attempt that was given up before anything left this machine. */
export const UNSENT = 'unsent'

/** Outcomes of attempts where the upstream did no work: it could not be reached, or refused with a status. */
const UNBILLED = new Set([
  UNSENT,
  'unreachable',
  'rate_limited',
  'server_error',
  'rejected',
  'misconfigured',
])

/** Whether an attempt may be billed: the upstream worked on answers that were late, cut or given up. */
export const mayBeBilled = (outcome: string): boolean => !UNBILLED.has(outcome)

/**
 * What spending is counted under: the rule or route that decided, else the step. A cached decision counts for
 * the one that made it, which is its reason.
 */
export const routeOf = ({ deciding: { name, step, reason } }: Plan): string =>
  name ?? (step === 'cache' ? reason : step)

/** The expected values of a budget's `of.route`; undefined if it is a name that spending is counted under. */
export function expectedRoute(names: readonly string[], got: string): string | undefined {
  if (names.includes(got)) return undefined
  const known = `one of ${names.join(', ')}`
  return got === 'cache'
    ? `the rule, route or step that decided first, as a cached decision counts for it: ${known}`
    : known
}

/**
 * Refuses a budget of the server's configuration that could never count, because nothing decides under its
 * route.
 *
 * @param names that spending is counted under
 * @throws config_invalid
 */
export function assertBudgetRoutes(
  budgets: readonly BudgetSettings[],
  names: readonly string[],
): void {
  for (const [i, { of = 'all' }] of budgets.entries()) {
    for (const got of of === 'all' ? [] : listed(of.route)) {
      const expected = expectedRoute(names, got)
      if (expected === undefined) continue
      throw new WeirError('config_invalid', {
        where: `gateway.budgets.${i}.of.route`,
        expected,
        got,
      })
    }
  }
}

/**
 * Reserves each attempt's highest possible cost before it is made.
 *
 * @param rulesOf the rules of a model's upstreams by which an answer may cost more than was asked for
 */
export const reserving =
  (
    budgets: Pick<Budgets, 'reserve'>,
    rulesOf: (model: string) => readonly ParameterRules[] = () => [],
  ): Admit =>
  ({ endpoint, request, plan, target, body, text }) =>
    budgets.reserve({
      key: request.caller.name,
      route: plan && routeOf(plan),
      model: target.model,
      endpoint,
      body,
      // what a chat body cannot say counts as well; a strategy's own question is another one
      text: (body === request.body ? request.client?.text : undefined) ?? text,
      system: target.system,
      parameters: withRules(target.parameters, rulesOf(target.model), body),
    })

/** The parameters that are merged over a body, with what the rules then make of its costs. */
function withRules(
  parameters: Target['parameters'],
  rules: readonly ParameterRules[],
  body: PassedBody,
): Target['parameters'] {
  if (rules.length === 0) return parameters
  return { ...parameters, ...costlyFields(rules, { ...body, ...parameters }) }
}

/** Ends the reservation of an attempt that has ended, according to its outcome. */
export function endReservation(reservation: Reservation, attempt: Attempt): void {
  const { outcome, usage, costUsd } = attempt
  if (usage && !usage.partial && costUsd !== undefined) reservation.commit(costUsd)
  else if (mayBeBilled(outcome)) reservation.commitBound()
  else reservation.release()
}

/** Records what each request spent. */
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
  readonly budget: string
  readonly reason: string
  readonly status: 402
  readonly retryAfter?: number
}

/**
 * Whether a budget that downgrades closes the model to the request, as far as this process knows. No side
 * effects, never waits.
 */
export function closedByBudget(
  budgets: Pick<Budgets, 'query'>,
  model: string,
  request: GatewayRequest,
): BudgetClosed | undefined {
  const { body, caller } = request
  // another endpoint: its one model is asked, or refused when it is sent
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
  return { budget: refusal.budget, status: 402, ...definedOnly({ reason: message, retryAfter }) }
}
