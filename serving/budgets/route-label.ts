import type { Plan } from '../gateway/contracts.ts'

/** The rule or route that decided, else the step: what spending is counted under. */
export const routeLabel = ({ deciding }: Plan): string => deciding.name ?? deciding.step
