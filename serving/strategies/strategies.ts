import type { Strategy } from '../gateway/strategy.ts'
import { ModelAsker } from './ask-model.ts'
import { bestOf } from './best-of.ts'
import { createCascade } from './cascade.ts'
import { compileChecks } from './checks/compile-checks.ts'
import { createEnsemble } from './ensemble.ts'
import { firstGood } from './first-good.ts'
import { majority } from './majority.ts'
import type { Mode } from './mode.ts'
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
