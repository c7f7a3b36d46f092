import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { ensemble, ensembleScores } from '../../../models/families/ensemble.ts'
import { createOnnxEngine } from '../../../training/engine/onnx-engine.ts'
import { ensembleTrainer } from '../../../training/trainers/ensemble/ensemble.ts'
import { winRateLosses } from '../../../training/trainers/pair-rows.ts'
import type { TrainerInput, TrainingRows } from '../../../training/trainers/trainer.ts'

const D = 8
const MODELS = ['m0', 'm1', 'weak', 'strong']
const PAIR = { strong: 3, weak: 2 }

/** The first column says which prompts the weak model fails; the others' outcomes are coins. */
function rowsOf(seed: number, rows: number): TrainingRows & { readonly y: Float64Array } {
  const random = createRandom(seed)
  const values = Float32Array.from({ length: rows * D }, () => random.normal())
  const scores: number[] = []
  for (let row = 0; row < rows; row++) {
    const fails = random.next() < 1 / (1 + Math.exp(-2 * values[row * D]!))
    scores.push(random.int(2), random.int(2), fails ? 0 : 1, random.int(10) > 0 ? 1 : 0)
  }
  const y = Float64Array.from(
    { length: rows },
    (_, i) => (1 + scores[4 * i + 3]! - scores[4 * i + 2]!) / 2,
  )
  return {
    embeddings: { kind: 'dense', rows, dimension: D, values },
    outcomes: { scores: Float32Array.from(scores) },
    y,
  }
}

const fitted = (settings: TrainerInput['hyperparameters']) =>
  ensembleTrainer.fit({
    models: MODELS,
    ...PAIR,
    train: rowsOf(1, 400),
    validation: rowsOf(2, 100),
    hyperparameters: { ...ensembleTrainer.defaults, centres: 40, ...settings },
    seed: 1,
    engine: createOnnxEngine(),
    threads: 1,
  })

describe.each([
  ['over parts of few train rows', {}],
  ['on validation where train rows are many', { mix_folds_below_rows: 0 }],
])('an ensemble mixed %s', (_, settings) => {
  it('fits heads of the pair alone, and no worse than its worst member', async () => {
    const { weights, hyperparameters } = await fitted(settings)
    expect([...weights.tensors['classifier.models']!.values]).toEqual([2, 3])
    expect(weights.tensors['classifier.weights']!.shape).toEqual([D, 2])
    const mix = ['classifier', 'kernel', 'knn'].map((member) => hyperparameters[`mix_${member}`])
    expect(mix).toEqual([...weights.tensors.mix!.values].map((share) => expect.closeTo(share, 6)))
    const asked = rowsOf(3, 300)
    const { winRate, members, quality } = ensembleScores(weights, PAIR, asked.embeddings)
    expect(ensemble.forward(weights, PAIR, asked.embeddings).winRate).toEqual(winRate)
    // of the members that know all four
    expect(quality).toHaveLength(300 * 4)
    const rows = Int32Array.from({ length: 300 }, (_, row) => row)
    const loss = (rates: Float64Array): number =>
      winRateLosses(rates, { rows, y: asked.y }).reduce((sum, value) => sum + value, 0) / 300
    const worst = Math.max(...Array.from(members.values(), loss))
    expect(loss(winRate)).toBeLessThan(worst)
    expect(loss(winRate)).toBeLessThan(loss(new Float64Array(300).fill(0.72)))
  })
})
