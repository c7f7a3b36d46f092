import { describe, expect, it, onTestFinished } from 'vitest'
import type { StrategyKind } from '../../../serving/strategies/settings.ts'
import {
  createStrategies,
  findSettingsFaults,
  registerStrategy,
  STRATEGIES,
} from '../../../serving/strategies/strategies.ts'
import { describeStrategyContract, type StrategyCase } from '../../../testing/strategy-contract.ts'

const rowOf = (kind: string): StrategyKind => STRATEGIES.find((row) => row.kind === kind)!
const cascade = rowOf('cascade')
const ensemble = rowOf('ensemble')
/** Grades and picks as a judge, or answers. */
const judged = (model: string): string =>
  model === 'judge' ? '{"grade": 9}' : `an answer of ${model}`

const CASES: Readonly<Record<string, StrategyCase>> = {
  'a cascade by its first model': {
    row: cascade,
    settings: { kind: 'cascade', checks: [{ kind: 'finish_reason' }] },
  },
  'a cascade by its last model': {
    row: cascade,
    settings: { kind: 'cascade', checks: [{ kind: 'length', min: 1000 }] },
  },
  'a cascade with a judge': {
    row: cascade,
    settings: {
      kind: 'cascade',
      checks: [{ kind: 'judge', judge: { model: 'judge' }, threshold: 0.5 }],
    },
    reply: judged,
  },
  'an ensemble that votes': {
    row: ensemble,
    settings: { kind: 'ensemble', mode: 'majority', samples: 2 },
  },
  'an ensemble with a judge': {
    row: ensemble,
    settings: { kind: 'ensemble', mode: 'best_of', judge: { model: 'judge' } },
    reply: (model) => (model === 'judge' ? '{"best": 1}' : `an answer of ${model}`),
  },
  'an ensemble that races': {
    row: ensemble,
    settings: { kind: 'ensemble', mode: 'first_good', checks: [{ kind: 'finish_reason' }] },
  },
}

for (const [name, given] of Object.entries(CASES)) describeStrategyContract(name, given)

describe('the registry of strategies', () => {
  it('has a contract case for every row', () => {
    const covered = new Set(Object.values(CASES).map(({ row }) => row.kind))
    expect([...covered]).toEqual(STRATEGIES.map(({ kind }) => kind))
  })

  it('takes strategies from outside, and none twice', () => {
    const row: StrategyKind = {
      kind: 'last',
      check({ checks }, find) {
        if (checks !== undefined) find.fault(['checks'], 'no such field', 'one')
      },
      create: () => ({
        kind: 'last',
        run: ({ plan, send }) => send(plan.targets.at(-1)!),
      }),
    }
    const faults = (settings: Parameters<typeof findSettingsFaults>[0]): unknown[] => {
      const found: unknown[] = []
      findSettingsFaults(settings, { fault: (...fault) => found.push(fault), model() {} })
      return found
    }
    expect(faults({ kind: 'last' })).toEqual([[['kind'], 'one of cascade, ensemble', 'last']])
    onTestFinished(registerStrategy(row))
    expect(faults({ kind: 'last' })).toEqual([])
    expect(faults({ kind: 'last', checks: [] })).toHaveLength(1)
    expect(createStrategies().map(({ kind }) => kind)).toEqual(['cascade', 'ensemble', 'last'])
    for (const kind of ['last', 'cascade', 'single']) {
      expect(() => registerStrategy({ ...row, kind })).toThrow(`of the kind ${kind} already`)
    }
  })
})
