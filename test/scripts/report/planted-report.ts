import { createRandom } from '../../../core/random.ts'
import { evaluateRouters } from '../../../training/evaluate/evaluate-routers.ts'
import type { EvaluationReport } from '../../../training/evaluate/report/report.ts'

const KINDS = ['Summarise', 'Prove', 'Translate', 'Debug', 'List', 'Compare'] as const

/** Routers of falling skill on prompts whose difficulty is known; some prompts try to break out of the page. */
export function plantedReport(
  rows: number,
  routers: number,
  options: { replicates?: number; costs?: boolean } = {},
): Promise<EvaluationReport> {
  const random = createRandom(11)
  const difficulty = Float64Array.from({ length: rows }, () => random.next())
  const strong = Float32Array.from(difficulty, (d) => Number(random.next() < 0.95 - 0.2 * d))
  const weak = Float32Array.from(difficulty, (d) => Number(random.next() < 0.95 - 0.8 * d))
  const kinds = Array.from(difficulty, () => KINDS[random.int(KINDS.length)]!)
  const prompts = kinds.map(
    (kind, i) =>
      `${kind} </script><img src=x onerror=alert(1)> item ${i}: ${'words '.repeat(random.int(200))}`,
  )
  const cost = (usd: number) => Float64Array.from(prompts, ({ length }) => (usd * length) / 1000)
  return evaluateRouters({
    routers: Array.from({ length: routers }, (_, i) => ({
      name: `router-${i + 1}`,
      winRate: difficulty.map((d) =>
        Math.min(1, Math.max(0, 0.3 + 0.4 * d + 0.1 * i * random.normal())),
      ),
      threshold: { value: 0.5, source: i === 0 ? 'calibrated' : 'default' },
    })),
    prompts,
    categories: kinds,
    labels: { strong, weak, y: strong.map((s, i) => (1 + s - weak[i]!) / 2) },
    pair: { strong: 'big', weak: 'small' },
    ...(options.costs !== false && {
      spend: { strong: cost(0.01), weak: cost(0.0005), origin: 'logged' as const },
    }),
    seed: 1,
    replicates: options.replicates ?? 50,
    details: true,
  })
}
