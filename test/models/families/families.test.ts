import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { classifier } from '../../../models/families/classifier.ts'
import { ensemble, ensembleWeights } from '../../../models/families/ensemble.ts'
import type { HeadWeights, Tensor } from '../../../models/families/family.ts'
import { imported, importedWeights } from '../../../models/families/imported.ts'
import { kernel } from '../../../models/families/kernel.ts'
import { knn } from '../../../models/families/knn.ts'
import { mf } from '../../../models/families/mf.ts'
import { mlp } from '../../../models/families/mlp.ts'
import type * as registry from '../../../models/families/registry.ts'
import { familyNames, loadFamily } from '../../../models/families/registry.ts'
import { sw } from '../../../models/families/sw.ts'
import { describeFamilyContract, randomEmbeddings } from '../../../testing/family-contract.ts'

const random = createRandom(4)
const tensor = (...shape: number[]): Tensor => ({
  shape,
  values: Float32Array.from(
    { length: shape.reduce((a, b) => a * b, 1) },
    () => random.normal() / Math.sqrt(shape[0]!),
  ),
})
const D = 24
const models = ['a', 'b', 'c']
const mfWeights: HeadWeights = {
  models,
  tensors: { models: tensor(3, 8), projection: tensor(D, 8), bias: tensor(8), output: tensor(8) },
}
const heads = (outputs: number): HeadWeights => ({
  models,
  tensors: { weights: tensor(D, outputs), bias: tensor(outputs) },
})
const pair = { strong: 2, weak: 0 }

/** The family that each case of the contract is about: the first word of its name. */
const covered = new Set<string>()
const familyCase: typeof describeFamilyContract = (name, make) => {
  covered.add(name.split(' ')[0]!)
  describeFamilyContract(name, make)
}

familyCase('mf', () => ({
  family: mf,
  weights: mfWeights,
  pair,
  embeddings: randomEmbeddings('dense', 40, D),
}))
const mfSuccess: HeadWeights = {
  models,
  tensors: { ...mfWeights.tensors, form: { shape: [1], values: Float32Array.of(1) } },
}
familyCase('mf (success form)', () => ({
  family: mf,
  weights: mfSuccess,
  pair,
  embeddings: randomEmbeddings('dense', 40, D),
}))
const layers = (outputs: number): HeadWeights => ({
  models,
  tensors: {
    hidden: tensor(D, 10),
    hidden_bias: tensor(10),
    weights: tensor(10, outputs),
    bias: tensor(outputs),
  },
})
for (const [heads, outputs] of [
  ['success heads', 3],
  ['pair head', 1],
] as const) {
  familyCase(`mlp (${heads})`, () => ({
    family: mlp,
    weights: layers(outputs),
    ...(outputs === 1 && { oneDirection: true }),
    pair,
    unexplained: 'a hidden layer mixes the columns, and those of a dense encoder have no names',
    embeddings: randomEmbeddings('dense', 40, D),
  }))
}
for (const kind of ['dense', 'sparse'] as const) {
  familyCase(`classifier (success heads, ${kind})`, () => ({
    family: classifier,
    weights: heads(3),
    pair,
    embeddings: randomEmbeddings(kind, 40, D),
  }))
  familyCase(`classifier (pair head, ${kind})`, () => ({
    family: classifier,
    weights: heads(1),
    oneDirection: true,
    pair,
    embeddings: randomEmbeddings(kind, 40, D),
  }))
}

const kernels: HeadWeights[] = []
for (const kind of ['dense', 'sparse'] as const) {
  const columns = { surface: 5, meaning: 7 }
  const gaussians = (name: keyof typeof columns): HeadWeights['tensors'] => ({
    [`${name}.centres`]: tensor(9, columns[name]),
    [`${name}.coefficients`]: { shape: [9, 3], values: tensor(9, 3).values.map((v) => v / 4) },
    [`${name}.width`]: { shape: [1], values: Float32Array.of(8) },
  })
  const linear = {
    weights: { shape: [D, 3], values: tensor(D, 3).values.map((v) => v / 8) },
    bias: { shape: [3], values: Float32Array.of(0.3, 0.5, 0.6) },
    layout: { shape: [2], values: Float32Array.of(5, 7) },
  }
  // two factors behind the three models
  const wide = (name: keyof typeof columns): HeadWeights['tensors'] => ({
    ...gaussians(name),
    [`${name}.coefficients`]: { shape: [9, 5], values: tensor(9, 5).values.map((v) => v / 4) },
  })
  const staged = {
    ...wide('surface'),
    ...wide('meaning'),
    weights: { shape: [D, 5], values: tensor(D, 5).values.map((v) => v / 8) },
    bias: { shape: [5], values: Float32Array.of(0.3, 0.5, 0.6, 0.1, -0.2) },
    'predicted.centres': tensor(7, 2),
    'predicted.coefficients': { shape: [7, 3], values: tensor(7, 3).values.map((v) => v / 4) },
    'predicted.width': { shape: [1], values: Float32Array.of(4) },
  }
  for (const [title, parts] of [
    ['both kernels', { ...gaussians('surface'), ...gaussians('meaning') }],
    ['surface alone', gaussians('surface')],
    ['two stages', staged],
  ] as const) {
    const weights = { models, tensors: { ...linear, ...parts } }
    kernels.push(weights)
    familyCase(`kernel (${title}, ${kind})`, () => ({
      family: kernel,
      weights,
      pair,
      unexplained: 'its centres are prompts, but weighed with either sign',
      embeddings: randomEmbeddings(kind, 40, D),
    }))
  }
}

const N = 60
const D2 = 16
/** Rows at norm 1, some of them twice; scores of 0 and 1. */
const neighbours = (...kernel: number[]): HeadWeights => {
  const rows = tensor(N, D2)
  for (let i = 0; i < N; i++) {
    const row = rows.values.subarray(i * D2, (i + 1) * D2)
    if (i % 7 === 6) row.set(rows.values.subarray((i - 1) * D2, i * D2))
    const norm = Math.hypot(...row)
    for (let j = 0; j < D2; j++) row[j]! /= norm
  }
  const scores = {
    shape: [N, 3],
    values: Float32Array.from({ length: N * 3 }, () => random.int(2)),
  }
  const base = { shape: [3], values: Float32Array.of(0.4, 0.5, 0.7) }
  const settings = { shape: [kernel.length], values: Float32Array.from(kernel) }
  return { models, tensors: { rows, scores, base, kernel: settings } }
}
for (const kind of ['dense', 'sparse'] as const) {
  const embeddings = randomEmbeddings(kind, 40, D)
  const near = neighbours(20, 0.1, 0.01)
  familyCase(`knn (${kind})`, () => ({ family: knn, weights: near, pair, embeddings }))
  const votes = neighbours(0.5)
  familyCase(`sw (${kind})`, () => ({ family: sw, weights: votes, pair, embeddings }))
  const ofThePair = heads(2)
  const some = { shape: [2], values: Float32Array.of(0, 2) }
  const pairHeads = { ...ofThePair, tensors: { ...ofThePair.tensors, models: some } }
  for (const [title, weights] of [
    ['two members', ensembleWeights(models, { classifier: heads(3), knn: near }, [0.8, 0.4])],
    [
      'three members, one with heads of the pair alone',
      ensembleWeights(
        models,
        { classifier: pairHeads, kernel: kernels.at(-1)!, knn: near },
        [0.5, 0.3, 0.2],
      ),
    ],
  ] as const) {
    familyCase(`ensemble (${title}, ${kind})`, () => ({
      family: ensemble,
      weights,
      pair,
      embeddings,
      neighbourRate: (row) => knn.forward(near, pair, row).winRate[0]!,
    }))
  }
}

for (const [title, head, columns] of [
  ['classes', { kind: 'classes', values: [1, 0.5, 0] }, 3],
  ['one logit', { kind: 'classes', values: [0.25, 1] }, 1],
  ['a range', { kind: 'range', weak: 6, strong: -6 }, 1],
] as const) {
  familyCase(`imported (${title})`, () => ({
    family: imported,
    weights: importedWeights(['weak', 'strong'], head),
    pair: { strong: 1, weak: 0 },
    oneDirection: true,
    unexplained: 'its columns are the outputs of a classifier; parts of the prompt are left out',
    embeddings: randomEmbeddings('dense', 40, columns),
  }))
}
familyCase('imported (an output for each model)', () => ({
  family: imported,
  weights: importedWeights(models, { kind: 'models', outputs: [3, 0, 2] }),
  pair,
  unexplained: 'its columns are the outputs of a classifier; parts of the prompt are left out',
  embeddings: randomEmbeddings('dense', 40, 4),
}))

describe('mf', () => {
  it('computes eq. 6-8 of Ong et al. 2024, written out a second time', () => {
    const embeddings = randomEmbeddings('dense', 3, D)
    if (embeddings.kind !== 'dense') throw new Error('dense')
    const at = (name: string, i: number): number => mfWeights.tensors[name]!.values[i]!
    const delta = (m: number, row: number): number => {
      const v = Array.from({ length: 8 }, (_, k) => at('models', m * 8 + k))
      const length = Math.hypot(...v)
      return v.reduce((sum, value, k) => {
        let hidden = at('bias', k)
        for (let j = 0; j < D; j++) {
          hidden += at('projection', j * 8 + k) * embeddings.values[row * D + j]!
        }
        return sum + (value / length) * hidden * at('output', k)
      }, 0)
    }
    const { winRate } = mf.forward(mfWeights, pair, embeddings)
    for (let row = 0; row < 3; row++) {
      const expected = 1 / (1 + Math.exp(delta(0, row) - delta(2, row)))
      expect(winRate[row]).toBeCloseTo(expected, 10)
    }
  })

  it('computes the success form of EmbedLLM, written out a second time', () => {
    const embeddings = randomEmbeddings('dense', 3, D)
    if (embeddings.kind !== 'dense') throw new Error('dense')
    const at = (name: string, i: number): number => mfSuccess.tensors[name]!.values[i]!
    const { winRate, quality } = mf.forward(mfSuccess, pair, embeddings)
    for (let row = 0; row < 3; row++) {
      const chance = models.map((_, m) => {
        let delta = 0
        for (let k = 0; k < 8; k++) {
          let hidden = at('bias', k)
          for (let j = 0; j < D; j++) {
            hidden += at('projection', j * 8 + k) * embeddings.values[row * D + j]!
          }
          delta += at('output', k) * at('models', m * 8 + k) * hidden
        }
        return 1 / (1 + Math.exp(-delta))
      })
      chance.forEach((p, m) => {
        expect(quality![row * 3 + m]).toBeCloseTo(p, 10)
      })
      expect(winRate[row]).toBeCloseTo(0.5 + (chance[2]! - chance[0]!) / 2, 10)
    }
  })

  it('names the tensor that a damaged bundle lacks', () => {
    const { models: _, ...tensors } = mfWeights.tensors
    const embeddings = randomEmbeddings('dense', 1, D)
    expect(() => mf.forward({ models, tensors }, pair, embeddings)).toThrow(/tensor models/)
  })
})

describe('imported', () => {
  const winRate = (logits: readonly number[], values: readonly number[]): number =>
    imported.forward(
      importedWeights(['weak', 'strong'], { kind: 'classes', values }),
      { strong: 1, weak: 0 },
      { kind: 'dense', rows: 1, dimension: logits.length, values: Float32Array.from(logits) },
    ).winRate[0]!

  it('gives the probabilities that were worked out by hand', () => {
    // softmax of ln 1, ln 2, ln 5 is 1/8, 2/8, 5/8
    const logits = [Math.log(1), Math.log(2), Math.log(5)]
    expect(winRate(logits, [1, 0.5, 0])).toBeCloseTo(1 / 8 + 1 / 8, 6)
    expect(winRate(logits, [1, 0, 0])).toBeCloseTo(1 / 8, 6)
    expect(winRate(logits, [1, 1, 0])).toBeCloseTo(3 / 8, 6)
    expect(winRate([Math.log(3)], [1, 0])).toBeCloseTo(3 / 4, 6)
    expect(winRate([800, -800], [1, 0])).toBe(1)
  })

  it('passes on what is no number, which the router then refuses', () => {
    expect(winRate([Number.NaN, 0], [1, 0])).toBeNaN()
  })
})

describe('the registry of families', () => {
  it('has a case of the contract for every family', () => {
    expect(familyNames().filter((name) => !covered.has(name))).toEqual([])
  })

  it('opens each by name, and names them all for one it does not have', async () => {
    for (const name of familyNames()) expect((await loadFamily(name)).name).toBe(name)
    expect(() => loadFamily('toString')).toThrow(`it has: ${familyNames().join(', ')}`)
  })

  it('takes a row from outside, but not under a name that is taken', async () => {
    // a registry of its own: other test files of this process see the families that Weir has
    const own: string = '../../../models/families/registry.ts?own'
    const { loadFamily, registerFamily } = (await import(own)) as typeof registry
    registerFamily('test-only', async () => ({ ...mf, name: 'test-only' }))
    expect((await loadFamily('test-only')).name).toBe('test-only')
    expect(() => registerFamily('mf', async () => mf)).toThrow(/a new name/)
    expect(familyNames()).not.toContain('test-only')
  })
})
