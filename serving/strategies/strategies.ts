import type { Strategy } from '../gateway/contracts.ts'
import { ModelAsker } from './ask-model.ts'
import { cascade } from './kinds/cascade.ts'
import { ensemble } from './kinds/ensemble.ts'
import type { SettingsFinder, StrategyKind, StrategySettings } from './settings.ts'

/** The built-in strategies, besides asking one model. */
export const STRATEGIES: readonly StrategyKind[] = [cascade, ensemble]

const registered = new Map(STRATEGIES.map((row) => [row.kind, row]))

/**
 * Registers a strategy that policies may name; call it before they are read. `describeStrategyContract` is
 * the test suite that it must pass.
 *
 * @returns a function that takes it out again
 * @throws TypeError if that kind is already registered
 */
export function registerStrategy(row: StrategyKind): () => void {
  if (row.kind === 'single' || registered.has(row.kind)) {
    throw new TypeError(`there is a strategy of the kind ${row.kind} already`)
  }
  registered.set(row.kind, row)
  return () => void registered.delete(row.kind)
}

/** Every strategy that a route may name. */
export function createStrategies(): Strategy[] {
  const asker = new ModelAsker()
  return [...registered.values()].map((row) => row.create(asker))
}

/** Reports faults in a strategy's settings, field by field. */
export function findSettingsFaults(settings: StrategySettings, find: SettingsFinder): void {
  const { kind } = settings
  const row = registered.get(kind)
  if (row) row.check(settings, find)
  else find.fault(['kind'], `one of ${[...registered.keys()].join(', ')}`, kind)
}
