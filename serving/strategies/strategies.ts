import type { Strategy } from '../gateway/contracts.ts'
import { ModelAsker } from './ask-model.ts'
import { compileChecks } from './checks.ts'
import { bestOf } from './kinds/best-of.ts'
import { createCascade } from './kinds/cascade.ts'
import { createEnsemble } from './kinds/ensemble.ts'
import { firstGood } from './kinds/first-good.ts'
import { majority } from './kinds/majority.ts'
import type { Mode } from './members.ts'
import type { EnsembleSettings } from './settings.ts'

/** Every way of asking that a route may name, beside asking one model. */
export function createStrategies(): Strategy[] {
  const asker = new ModelAsker()
  return [
    createCascade(perSettings(({ checks }) => compileChecks(checks, asker))),
    createEnsemble(perSettings((settings) => modeOf(settings, asker))),
  ]
}

function modeOf(settings: EnsembleSettings, asker: ModelAsker): Mode {
  switch (settings.mode) {
    case 'majority':
      return majority(settings)
    case 'best_of':
      return bestOf(settings, asker)
    case 'first_good':
      return firstGood(settings, asker)
  }
}

/** Patterns and schemas are compiled once for each policy that is loaded, and forgotten with it. */
function perSettings<Settings extends object, Made>(
  make: (settings: Settings) => Made,
): (settings: Settings) => Made {
  const made = new WeakMap<Settings, { readonly made: Made }>()
  return (settings) => {
    const known = made.get(settings) ?? { made: make(settings) }
    made.set(settings, known)
    return known.made
  }
}
