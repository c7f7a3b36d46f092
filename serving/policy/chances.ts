import type { Plan } from '../gateway/plan.ts'

/** Probability of each model being asked first; what is refused adds to none. */
export type Chances = Map<string, number>

/** Adds what a plan's own chance leaves to each model, weighed by the chance of the plan. */
export function addPlan(chances: Chances, plan: Plan, weight: number): void {
  if (plan.kind === 'refuse') return
  const add = (model: string, p: number): void => {
    chances.set(model, (chances.get(model) ?? 0) + weight * p)
  }
  const first = plan.targets[0]!.model
  if (plan.propensity === 1 || !plan.decision) {
    add(first, plan.propensity)
    return
  }
  for (const { model, propensity } of plan.decision.candidates) add(model, propensity)
}
