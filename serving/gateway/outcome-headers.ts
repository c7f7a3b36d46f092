import type { Outcome } from './gateway.ts'
import type { StepVerdict } from './plan.ts'
import type { Trail } from './trail.ts'

/** What the client is told beside the answer: who served, why, and what it cost where that is known yet. */
export function outcomeHeaders({ answer, plan, exchange }: Outcome): Record<string, string> {
  const { deciding } = plan
  const kind = plan.kind === 'serve' ? plan.strategy.kind : 'single'
  const headers: Record<string, string> = {
    'x-weir-id': exchange.request.id,
    'x-weir-step': deciding.step,
    'x-weir-reason': deciding.reason,
  }
  if (deciding.name !== undefined) headers['x-weir-rule'] = headerText(deciding.name)
  if (plan.policy) headers['x-weir-policy'] = headerText(`${plan.policy.name}@${plan.policy.hash}`)
  if (plan.steps && exchange.request.hints.explain) {
    headers['x-weir-steps'] = plan.steps.map(verdictText).join(', ')
  }
  if (answer) {
    headers['x-weir-model'] = headerText(answer.target.model)
    headers['x-weir-upstream'] = headerText(answer.upstream)
    const first = plan.kind === 'serve' ? plan.targets[0]?.model : undefined
    // another one than the decision's answered; which one does is a strategy's own business
    if (kind === 'single' && first !== undefined && first !== answer.target.model) {
      headers['x-weir-failover-from'] = headerText(first)
    }
  }
  if (plan.kind === 'serve' && plan.decision) {
    const { id, router, win_rate, threshold } = plan.decision
    headers['x-weir-decision'] = id
    headers['x-weir-router'] = `${router.name}@${router.version}`
    if (win_rate !== null) headers['x-weir-win-rate'] = String(win_rate)
    headers['x-weir-threshold'] = String(threshold)
  }
  const { ledger, trail } = exchange
  if (kind !== 'single') headers['x-weir-strategy'] = [kind, ...notes(trail)].join('; ')
  const running = answer?.answer.kind === 'stream' && !answer.answer.fromWhole
  headers['x-weir-attempts'] = String(ledger.attempts.length + (running ? 1 : 0))
  // a stream's tokens are counted when it ends
  if (answer && !running && ledger.costUsd !== undefined) {
    headers['x-weir-cost-usd'] = ledger.costUsd.toFixed(8)
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
