import type { Outcome } from './gateway.ts'
import type { StepVerdict } from './plan.ts'
import type { Trail } from './trail.ts'

/**
 * What the client is told beside the answer: who served, why, and what it cost where that is known yet.
 * Names and values in a row, as Node takes them without a look at each.
 */
export function outcomeHeaders({ answer, plan, exchange }: Outcome): string[] {
  const { deciding } = plan
  const kind = plan.kind === 'serve' ? plan.strategy.kind : 'single'
  const headers = [
    'x-content-type-options',
    'nosniff',
    'cache-control',
    'no-store',
    'x-weir-id',
    exchange.request.id,
    'x-weir-step',
    deciding.step,
    'x-weir-reason',
    deciding.reason,
  ]
  if (deciding.name !== undefined) headers.push('x-weir-rule', headerText(deciding.name))
  if (plan.policy) {
    headers.push('x-weir-policy', headerText(`${plan.policy.name}@${plan.policy.hash}`))
  }
  if (plan.steps && exchange.request.hints.explain) {
    headers.push('x-weir-steps', plan.steps.map(verdictText).join(', '))
  }
  if (answer) {
    headers.push('x-weir-model', headerText(answer.target.model))
    headers.push('x-weir-upstream', headerText(answer.upstream))
    const first = plan.kind === 'serve' ? plan.targets[0]?.model : undefined
    // another one than the decision's answered; which one does is a strategy's own business
    if (kind === 'single' && first !== undefined && first !== answer.target.model) {
      headers.push('x-weir-failover-from', headerText(first))
    }
  }
  if (plan.kind === 'serve' && plan.decision) {
    const { id, router, win_rate, threshold } = plan.decision
    headers.push('x-weir-decision', id, 'x-weir-router', `${router.name}@${router.version}`)
    if (win_rate !== null) headers.push('x-weir-win-rate', String(win_rate))
    headers.push('x-weir-threshold', String(threshold))
  }
  const { ledger, trail } = exchange
  if (kind !== 'single') headers.push('x-weir-strategy', [kind, ...notes(trail)].join('; '))
  const running = answer?.answer.kind === 'stream' && !answer.answer.fromWhole
  headers.push('x-weir-attempts', String(ledger.attempts.length + (running ? 1 : 0)))
  if (answer && !running) {
    // a stream's tokens are counted when it ends
    const { costUsd } = ledger
    if (costUsd !== undefined) headers.push('x-weir-cost-usd', costUsd.toFixed(8))
  }
  return headers
}

const notes = ({ notes }: Trail): string[] => [...notes].map((pair) => pair.join('='))

/** `rule=code` where a step had something to say, `rule` alone where not; then why. */
const verdictText = ({ step, matched, name, reason }: StepVerdict): string => {
  const said = matched ? `${step}=${headerText(name ?? 'yes')}` : step
  return reason === undefined ? said : `${said};${headerText(reason)}`
}

/** Names may hold any letters; headers may not. */
const headerText = (text: string): string =>
  /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text)
