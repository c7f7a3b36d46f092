import type { ModelAsker } from '../ask-model.ts'
import type { CheckSettings } from '../settings.ts'
import type { Check } from './check.ts'
import { consistencyCheck } from './consistency-check.ts'
import { judgeCheck } from './judge-check.ts'
import { logprobCheck } from './logprob-check.ts'
import { finishCheck, lengthCheck, regexCheck, schemaCheck } from './text-checks.ts'

/** Checks at work. @throws Error: a pattern or schema that is none */
export function compileChecks(settings: readonly CheckSettings[], asker: ModelAsker): Check[] {
  return settings.map((one) => ({
    name: one.name ?? one.kind,
    models: one.models,
    threshold: 'threshold' in one ? one.threshold : undefined,
    ...compiled(one, asker),
  }))
}

function compiled(one: CheckSettings, asker: ModelAsker): Pick<Check, 'check' | 'asks'> {
  switch (one.kind) {
    case 'logprob':
      return logprobCheck(one)
    case 'self_consistency':
      return consistencyCheck(one)
    case 'json_schema':
      return schemaCheck(one)
    case 'regex':
      return regexCheck(one)
    case 'judge':
      return judgeCheck(one, asker)
    case 'length':
      return lengthCheck(one)
    case 'finish_reason':
      return finishCheck(one)
  }
}
