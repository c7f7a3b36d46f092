import { createRandom } from '../../../../core/random.ts'
import type { Expectations, ModelTable } from '../../../../training/evaluate/log/model-table.ts'

/** Models whose success rates differ by prompt, dearer ones better on average; what is expected is the truth. */
export function simulated(rows: number, m: number, seed: number): ModelTable & Expectations {
  const random = createRandom(seed)
  const quality = new Float64Array(rows * m)
  const scores = new Float64Array(rows * m)
  const costs = new Float64Array(rows * m)
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < m; k++) {
      const skill = (k + 1) / (m + 2)
      quality[i * m + k] = Math.min(1, Math.max(0, skill + 0.5 * (random.next() - 0.5)))
      scores[i * m + k] = random.next() < quality[i * m + k]! ? 1 : 0
      costs[i * m + k] = 0.001 * (k + 1) ** 2 * (0.5 + random.next())
    }
  }
  const models = Array.from({ length: m }, (_, k) => `m${k}`)
  return { models, rows, scores, costs, quality }
}
