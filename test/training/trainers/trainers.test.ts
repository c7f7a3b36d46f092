import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { loadFamily } from '../../../models/families/registry.ts'
import { createOnnxEngine } from '../../../training/engine/onnx-engine.ts'
import { loadTrainer, TRAINERS } from '../../../training/trainers/registry.ts'
import type { TrainerInput, TrainingRows } from '../../../training/trainers/trainer.ts'

const D = 6
const engine = createOnnxEngine()

/** Two kinds of prompts, told apart by the first column: the strong model is needed for one of them. */
function rowsOf(seed: number, rows: number, label?: (need: boolean) => number[]): TrainingRows {
  const random = createRandom(seed)
  const values = new Float32Array(rows * D)
  const scores: number[] = []
  for (let row = 0; row < rows; row++) {
    const need = random.next() < 0.5
    values[row * D] = need ? 1 : -1
    for (let j = 1; j < D; j++) values[row * D + j] = 0.5 * random.normal()
    scores.push(
      ...(label?.(need) ?? [random.int(10) > 0 ? 1 : 0, need === random.int(10) > 0 ? 0 : 1]),
    )
  }
  return {
    embeddings: { kind: 'dense', rows, dimension: D, values },
    outcomes: { scores: Float32Array.from(scores) },
  }
}

const inputOf = (
  train: TrainingRows,
  validation: TrainingRows,
  hyperparameters: TrainerInput['hyperparameters'],
): TrainerInput => ({
  models: ['strong', 'weak'],
  strong: 0,
  weak: 1,
  train,
  validation,
  hyperparameters,
  seed: 1,
  engine,
  threads: 1,
})

/** Small enough for a test, by family; the others' defaults are. */
const SMALL: Readonly<Record<string, Readonly<Record<string, number | string>>>> = {
  kernel: { rank: 24, centres: 24 },
  ensemble: { rank: 24, centres: 24, l2_steps: 2, folds: 3, mix_folds: 2 },
  mf: { rank: 8, epochs: 10, learning_rate: 0.03 },
  'mf success': { form: 'success', rank: 8, epochs: 10, learning_rate: 0.03 },
  mlp: { hidden: 8, epochs: 10, learning_rate: 0.03 },
}

const TRAINED = ['classifier', 'kernel', 'knn', 'sw', 'ensemble', 'mf', 'mf success', 'mlp']

it('every registered trainer has a case below', () => {
  const cases = TRAINED.map((name) => name.split(' ')[0])
  expect(Object.keys(TRAINERS).filter((family) => !cases.includes(family))).toEqual([])
})

describe.each(TRAINED)('the %s trainer', (title) => {
  const [name = ''] = title.split(' ')
  it('learns which prompts need the strong model, the same way every time', async () => {
    const trainer = await loadTrainer(name)
    const family = await loadFamily(name)
    const input = inputOf(rowsOf(1, 200), rowsOf(2, 60), { ...trainer.defaults, ...SMALL[title] })
    const { weights } = await trainer.fit(input)
    expect((await trainer.fit(input)).weights).toEqual(weights)
    const asked = rowsOf(3, 200)
    const { winRate } = family.forward(weights, { strong: 0, weak: 1 }, asked.embeddings)
    if (asked.embeddings.kind !== 'dense') throw new Error('dense')
    const mean = (need: boolean): number => {
      const kept = winRate.filter(
        (_, row) =>
          asked.embeddings.kind === 'dense' && asked.embeddings.values[row * D]! > 0 === need,
      )
      return kept.reduce((sum, rate) => sum + rate, 0) / kept.length
    }
    expect(mean(true) - mean(false)).toBeGreaterThan(0.08)
  })

  it.each([
    ['a model that never loses', (need: boolean) => [1, need ? 0 : 1]],
    ['labels that do not vary', () => [1, 0]],
    [
      'labels that a column separates without an error',
      (need: boolean) => (need ? [1, 0] : [0, 1]),
    ],
  ] as const)('gives finite win rates from %s', async (_, label) => {
    const trainer = await loadTrainer(name)
    const family = await loadFamily(name)
    const { weights } = await trainer.fit(
      inputOf(rowsOf(1, 120, label), rowsOf(2, 40, label), {
        ...trainer.defaults,
        ...SMALL[title],
      }),
    )
    const { winRate } = family.forward(weights, { strong: 0, weak: 1 }, rowsOf(3, 50).embeddings)
    expect(winRate.every((rate) => rate >= 0 && rate <= 1)).toBe(true)
  })

  it('gives finite win rates where every column is constant', async () => {
    const trainer = await loadTrainer(name)
    const family = await loadFamily(name)
    const flat = (seed: number, rows: number): TrainingRows => {
      const { embeddings, outcomes } = rowsOf(seed, rows)
      if (embeddings.kind !== 'dense') throw new Error('dense')
      return {
        embeddings: { ...embeddings, values: embeddings.values.fill(0.5) },
        outcomes: outcomes!,
      }
    }
    const { weights } = await trainer.fit(
      inputOf(flat(1, 120), flat(2, 40), { ...trainer.defaults, ...SMALL[title] }),
    )
    const { winRate } = family.forward(weights, { strong: 0, weak: 1 }, flat(3, 10).embeddings)
    expect(new Set(winRate).size).toBe(1)
    expect(winRate[0]).toBeGreaterThan(0)
    expect(winRate[0]).toBeLessThan(1)
  })

  it('stops when told to', async () => {
    if (name === 'sw') return // there is nothing to fit
    const trainer = await loadTrainer(name)
    const input = inputOf(rowsOf(1, 100), rowsOf(2, 40), { ...trainer.defaults, ...SMALL[title] })
    const stopped = { ...input, signal: AbortSignal.abort() }
    await expect(trainer.fit(stopped)).rejects.toThrow()
  })
})
