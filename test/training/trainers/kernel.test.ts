import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { SparseEmbeddings } from '../../../models/encoders/embeddings.ts'
import { SURFACE_COUNT } from '../../../models/encoders/lexical/surface.ts'
import { kernel } from '../../../models/families/kernel.ts'
import { sigmoid } from '../../../models/families/linear-head.ts'
import { createOnnxEngine } from '../../../training/engine/onnx-engine.ts'
import { kernelTrainer } from '../../../training/trainers/kernel/kernel.ts'
import { knownOfOthers } from '../../../training/trainers/kernel/rows.ts'
import type { TrainingRows } from '../../../training/trainers/trainer.ts'

const WORDS = 30
const TAIL = 3
const DIMENSION = WORDS + SURFACE_COUNT + TAIL

/** The strong model is needed where the second column of the embedding is far from 0, on either side. */
function rowsOf(seed: number, rows: number): TrainingRows & { readonly need: boolean[] } {
  const random = createRandom(seed)
  const offsets = [0]
  const ids: number[] = []
  const weights: number[] = []
  const scores: number[] = []
  const need: boolean[] = []
  for (let row = 0; row < rows; row++) {
    const angle = random.next() * 2 * Math.PI
    const wanted = Math.abs(Math.sin(angle)) > 0.7
    need.push(wanted)
    const put = (id: number, weight: number): void => {
      ids.push(id)
      weights.push(weight)
    }
    for (let id = 0; id < WORDS; id++) if (random.next() < 0.2) put(id, 0.4)
    for (let k = 0; k < SURFACE_COUNT; k++) put(WORDS + k, 0.1 * random.normal())
    put(DIMENSION - 3, 0.5 * Math.cos(angle))
    put(DIMENSION - 2, 0.5 * Math.sin(angle))
    put(DIMENSION - 1, 0.05 * random.normal())
    offsets.push(ids.length)
    scores.push(random.next() < 0.9 ? 1 : 0, random.next() < (wanted ? 0.1 : 0.9) ? 1 : 0)
  }
  const embeddings: SparseEmbeddings = {
    kind: 'sparse',
    rows,
    dimension: DIMENSION,
    offsets: Uint32Array.from(offsets),
    ids: Uint32Array.from(ids),
    weights: Float32Array.from(weights),
  }
  return { embeddings, outcomes: { scores: Float32Array.from(scores) }, need }
}

describe('the kernel trainer', () => {
  it('learns from an embedding what no linear head can', async () => {
    const { weights, hyperparameters } = await kernelTrainer.fit({
      models: ['strong', 'weak'],
      strong: 0,
      weak: 1,
      train: rowsOf(1, 400),
      validation: rowsOf(2, 60),
      hyperparameters: { ...kernelTrainer.defaults, tail: TAIL, rank: 10, centres: 60 },
      seed: 1,
      engine: createOnnxEngine(),
      threads: 1,
    })
    expect(hyperparameters.meaning_weight).toBeGreaterThan(0)
    const asked = rowsOf(3, 300)
    const { winRate } = kernel.forward(weights, { strong: 0, weak: 1 }, asked.embeddings)
    const mean = (need: boolean): number => {
      const kept = winRate.filter((_, row) => asked.need[row] === need)
      return kept.reduce((sum, rate) => sum + rate, 0) / kept.length
    }
    // the truth is .9 and .5
    expect(mean(true) - mean(false)).toBeGreaterThan(0.25)
  })
})

describe('its second stage', () => {
  const models = ['strong', 'weak', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7']

  /** Words say how hard a prompt is; the strong model is needed where it is neither easy nor out of reach. */
  function hardnessRows(seed: number, rows: number): TrainingRows & { readonly gain: number[] } {
    const random = createRandom(seed)
    const values = new Float32Array(rows * WORDS)
    const scores: number[] = []
    const gain: number[] = []
    for (let row = 0; row < rows; row++) {
      const hard = 2 * random.normal()
      for (let j = 0; j < WORDS; j++) values[row * WORDS + j] = 0.15 * hard + 0.5 * random.normal()
      const chance = models.map((_, k) => sigmoid((k === 0 ? 2 : k === 1 ? -2 : 0) - 2.5 * hard))
      for (const p of chance) scores.push(random.next() < p ? 1 : 0)
      gain.push(chance[0]! - chance[1]!)
    }
    return {
      embeddings: { kind: 'dense', rows, dimension: WORDS, values },
      outcomes: { scores: Float32Array.from(scores) },
      gain,
    }
  }

  it('finds where the gain is highest in the middle, which the words alone can’t say', async () => {
    const fittedWith = (factors: number) =>
      kernelTrainer.fit({
        models,
        strong: 0,
        weak: 1,
        train: hardnessRows(1, 600),
        validation: hardnessRows(2, 60),
        // dense rows: the embedding's own kernel is turned off by its width
        hyperparameters: { ...kernelTrainer.defaults, centres: 60, meaning_width: 1e-3, factors },
        seed: 1,
        engine: createOnnxEngine(),
        threads: 1,
      })
    const asked = hardnessRows(3, 400)
    const error = async (factors: number): Promise<number> => {
      const { weights } = await fittedWith(factors)
      const { winRate } = kernel.forward(weights, { strong: 0, weak: 1 }, asked.embeddings)
      return (
        winRate.reduce((sum, rate, row) => sum + (2 * rate - 1 - asked.gain[row]!) ** 2, 0) / 400
      )
    }
    const [one, two] = [await error(0), await error(8)]
    expect(two).toBeLessThan(0.75 * one)
  })
})

describe('what the other models say of a pair', () => {
  const M = 8
  const N = 150
  const random = createRandom(5)
  const chance: number[] = []
  const scores: number[] = []
  for (let row = 0; row < N; row++) {
    const ease = 2 * random.normal()
    for (let k = 0; k < M; k++) {
      const p = sigmoid(ease + (k - 4) / 3)
      chance.push(p)
      scores.push(random.next() < p ? 1 : 0)
    }
  }
  const pair = { strong: 6, weak: 1 }

  it('is nearer the true chances than the outcomes are', () => {
    const known = knownOfOthers({ scores }, M, pair)!
    let [theirs, own] = [0, 0]
    for (let row = 0; row < N; row++) {
      for (const [c, k] of [pair.strong, pair.weak].entries()) {
        theirs += (known[row * 2 + c]! - chance[row * M + k]!) ** 2
        own += (scores[row * M + k]! - chance[row * M + k]!) ** 2
      }
    }
    expect(theirs).toBeLessThan(own / 2)
  })

  it('does not hang on the pair’s outcome on the prompt itself, but for the models’ means', () => {
    const flipped = scores.slice()
    flipped[7 * M + pair.strong] = 1 - flipped[7 * M + pair.strong]!
    const before = knownOfOthers({ scores }, M, pair)!
    const after = knownOfOthers({ scores: flipped }, M, pair)!
    expect(Math.abs(after[7 * 2]! - before[7 * 2]!)).toBeLessThan(2 / N)
    expect(after[7 * 2 + 1]).toBeCloseTo(before[7 * 2 + 1]!, 6)
  })

  it('hears how long their answers are', () => {
    // twice as hard, twice as long, and nothing else to tell it by: the others are always right
    const hard = Array.from({ length: N }, () => random.next() < 0.5)
    const known = (lengths: boolean): Float32Array =>
      knownOfOthers(
        {
          scores: hard.flatMap((is) => [1, is ? 0 : 1, 1, 1, 1]),
          ...(lengths && { tokens: hard.flatMap((is) => Array<number>(5).fill(is ? 200 : 100)) }),
        },
        5,
        { strong: 0, weak: 1 },
      )!
    const weak = (lengths: boolean, is: boolean): number =>
      known(lengths)[2 * hard.indexOf(is) + 1]!
    expect(weak(true, false) - weak(true, true)).toBeGreaterThan(0.7)
    expect(Math.abs(weak(false, false) - weak(false, true))).toBeLessThan(0.1)
  })

  it('is nothing where fewer than three others answered', () => {
    expect(knownOfOthers({ scores: [1, 0, 1, 0] }, 4, { strong: 0, weak: 1 })).toBeUndefined()
  })
})
