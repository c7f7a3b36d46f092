import { beforeAll, describe, expect, it } from 'vitest'
import { createRandom } from '../core/random.ts'
import { openGraphHead } from '../models/bundle/graph-head.ts'
import type { NeighbourRows } from '../models/bundle/neighbours-file.ts'
import { explainLinear, explainNeighbours } from '../models/decision/explain.ts'
import { type Embeddings, takeRows } from '../models/encoders/embeddings.ts'
import type { Family, HeadWeights, Pair } from '../models/families/family.ts'
import type { Scores } from '../models/families/linear-head.ts'
import { scoreLinear } from '../models/families/linear-head.ts'
import { encodeOnnx } from '../models/onnx/encode.ts'

export interface FamilyCase {
  readonly family: Family
  readonly weights: HeadWeights
  readonly pair: Pair
  readonly embeddings: Embeddings
  /** the neighbours' own win rate of one row, where the family's is made of more */
  readonly neighbourRate?: (row: Embeddings) => number
  /** fitted for the pair in this order alone, as a head without qualities of single models may be */
  readonly oneDirection?: true
  /** why nothing can be named that moved it, where nothing can */
  readonly unexplained?: string
}

/** Seeded rows for a head of the given input. */
export function randomEmbeddings(
  kind: 'dense' | 'sparse',
  rows: number,
  dimension: number,
): Embeddings {
  const random = createRandom(17)
  const draw = (n: number): Float32Array => Float32Array.from({ length: n }, () => random.normal())
  if (kind === 'dense') return { kind, rows, dimension, values: draw(rows * dimension) }
  const offsets = [0]
  const ids: number[] = []
  for (let row = 0; row < rows; row++) {
    // the first row is empty, as an empty prompt's may be
    for (let id = 0; id < dimension && row > 0; id++) if (random.next() < 0.3) ids.push(id)
    offsets.push(ids.length)
  }
  const weights = draw(ids.length)
  return {
    kind,
    rows,
    dimension,
    offsets: Uint32Array.from(offsets),
    ids: Uint32Array.from(ids),
    weights,
  }
}

/** The one suite that every router family passes. */
export function describeFamilyContract(name: string, make: () => FamilyCase): void {
  describe(`${name} keeps the family contract:`, () => {
    let given: FamilyCase
    let scores: Scores
    beforeAll(() => {
      given = make()
      scores = given.family.forward(given.weights, given.pair, given.embeddings)
    })

    it('gives a win rate in [0, 1] a row, and not the same one to all', () => {
      expect(scores.winRate).toHaveLength(given.embeddings.rows)
      expect(scores.winRate.every((rate) => rate >= 0 && rate <= 1)).toBe(true)
      expect(new Set(scores.winRate).size).toBeGreaterThan(given.embeddings.rows / 2)
    })

    it('gives a quality in [0, 1] a model, where it has one', () => {
      if (!scores.quality) return
      expect(scores.quality).toHaveLength(given.embeddings.rows * given.weights.models.length)
      expect(scores.quality.every((value) => value >= 0 && value <= 1)).toBe(true)
    })

    it('scores a row alone as in any batch', () => {
      for (let row = 0; row < given.embeddings.rows; row++) {
        const alone = takeRows(given.embeddings, [row])
        expect(given.family.forward(given.weights, given.pair, alone).winRate[0]).toBe(
          scores.winRate[row],
        )
      }
    })

    it('turns round with the pair: the win rates of (a, b) and (b, a) sum to 1', () => {
      if (given.oneDirection) {
        expect(scores.quality).toBeUndefined()
        return
      }
      const turned = { strong: given.pair.weak, weak: given.pair.strong }
      const other = given.family.forward(given.weights, turned, given.embeddings).winRate
      other.forEach((rate, row) => {
        expect(rate + scores.winRate[row]!).toBeCloseTo(1, 12)
      })
    })

    it('gives the same in ONNX Runtime to 1e-6', async () => {
      const { kind, dimension } = given.embeddings
      const model = given.family.graph(given.weights, given.pair, { kind, dimension })
      const session = await openGraphHead(encodeOnnx(model), 1)
      try {
        const graph = await session.score(given.embeddings)
        expectClose(graph, scores)
      } finally {
        await session.close()
      }
    })

    it('can be explained: by features where it folds, else by neighbours whose weights give the win rate', async () => {
      const { family, weights, pair, embeddings } = given
      const held = family.neighbours?.(weights)
      const ways = [family.fold !== undefined, held !== undefined].filter(Boolean)
      expect(ways).toHaveLength(given.unexplained ? 0 : 1)
      if (given.unexplained) return
      if (!held) {
        const head = family.fold!(weights, pair)
        const { features } = explainLinear(head, takeRows(embeddings, [1]), undefined)
        expect(features.length).toBeGreaterThan(0)
        return
      }
      const { kind, dimension } = embeddings
      const session = await openGraphHead(
        encodeOnnx(family.graph(weights, pair, { kind, dimension })),
        1,
      )
      try {
        for (const row of [1, 2, 3]) {
          const one = takeRows(embeddings, [row])
          const found = (await session.neighbours(one))!
          expect(found.weight).toHaveLength(held.rows)
          // the shares of what counted, written out again from the raw weights
          const total = found.weight.reduce((sum, each) => sum + each, held.prior)
          const m = weights.models.length
          let gain = (held.prior * (held.base[pair.strong]! - held.base[pair.weak]!)) / total
          found.weight.forEach((weight, i) => {
            const [s, w] = [held.scores[i * m + pair.strong]!, held.scores[i * m + pair.weak]!]
            gain += (weight * (s - w)) / total
          })
          const near = given.neighbourRate?.(one) ?? family.forward(weights, pair, one).winRate[0]!
          expect((1 + gain) / 2).toBeCloseTo(near, 6)
          const rows: NeighbourRows = {
            observed: 'outcomes',
            prior: {
              weight: held.prior,
              win_rate: (1 + held.base[pair.strong]! - held.base[pair.weak]!) / 2,
            },
            hashes: Array.from({ length: held.rows }, (_, i) => String(i)),
            scores: Float32Array.from(
              { length: 2 * held.rows },
              (_, i) => held.scores[(i >> 1) * m + (i % 2 === 0 ? pair.strong : pair.weak)]!,
            ),
          }
          const said = explainNeighbours(found, rows, undefined)
          expect(said.neighbours!.length).toBe(10)
          expect(said.neighbourhood!.win_rate).toBeCloseTo(near, 6)
          const most = [...found.weight.keys()].reduce((a, b) =>
            found.weight[b]! > found.weight[a]! ? b : a,
          )
          expect(said.neighbours![0]!.prompt_hash).toBe(String(most))
          expect(said.neighbours![0]!.similarity).toBe(found.similarity[most])
        }
      } finally {
        await session.close()
      }
    })

    it('gives the same folded to 1e-6, where it folds', () => {
      const folded = given.family.fold?.(given.weights, given.pair)
      if (folded) expectClose(scoreLinear(folded, given.embeddings), scores)
    })
  })
}

function expectClose(found: Scores, expected: Scores): void {
  found.winRate.forEach((rate, row) => {
    expect(Math.abs(rate - expected.winRate[row]!)).toBeLessThan(1e-6)
  })
  expect(found.quality?.length).toBe(expected.quality?.length)
  found.quality?.forEach((value, i) => {
    expect(Math.abs(value - expected.quality![i]!)).toBeLessThan(1e-6)
  })
}
