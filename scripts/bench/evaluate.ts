import { createRandom } from '../../core/random.ts'
import { evaluateRouters } from '../../training/evaluate/evaluate-routers.ts'
import { sortScores } from '../../training/evaluate/metrics/score-order.ts'
import { figureTable, ownCpuSeconds } from './figures.ts'

/**
 * `npm run bench:evaluate`: a million scored prompts, five routers, 200 bootstrap replicates, all baselines but kNN,
 * against sorting the five routers' scores alone. CPU seconds, so that other work on the machine counts little.
 */
const ROWS = Number(process.env.ROWS ?? 1_000_000)
const ROUTERS = 5
const REPLICATES = 200

const random = createRandom(1)
const difficulty = Float64Array.from({ length: ROWS }, () => random.next())
const strong = Float32Array.from(difficulty, (d) => Number(random.next() < 0.95 - 0.2 * d))
const weak = Float32Array.from(difficulty, (d) => Number(random.next() < 0.95 - 0.8 * d))
const y = strong.map((s, i) => (1 + s - weak[i]!) / 2)
const prompts = Array.from(difficulty, (_, i) => `prompt ${i} ${'x'.repeat(random.int(60))}`)
const categories = Array.from(difficulty, () => `category ${random.int(20)}`)
const routers = Array.from({ length: ROUTERS }, (_, r) => ({
  name: `router ${r + 1}`,
  winRate: difficulty.map((d) => 1 / (1 + Math.exp(-d - 0.3 * r * random.normal()))),
  threshold: { value: 0.6, source: 'default' as const },
}))

sortScores(routers[0]!.winRate.slice(0, 50_000)) // compiles it
const beforeSort = ownCpuSeconds()
for (const { winRate } of routers) sortScores(winRate)
const sort = ownCpuSeconds() - beforeSort

const started = performance.now()
const before = ownCpuSeconds()
const report = await evaluateRouters({
  routers,
  prompts,
  categories,
  labels: { strong, weak, y },
  seed: 1,
  replicates: REPLICATES,
})
const cpu = ownCpuSeconds() - before
const figures = {
  evaluate_seconds: (performance.now() - started) / 1000,
  evaluate_cpu_seconds: cpu,
  sort_cpu_seconds: sort,
  evaluate_over_sort: cpu / sort,
  peak_gb: process.resourceUsage().maxRSS / 1e6,
  apgr: report.routers[0]!.apgr.value,
}
if (process.argv.includes('--json'))
  console.log(JSON.stringify({ rows: ROWS, routers: ROUTERS, replicates: REPLICATES, figures }))
else {
  console.log(
    `${ROWS.toLocaleString('en-US')} prompts x ${ROUTERS} routers (and ${Object.keys(report.baselines).length} baselines), ${REPLICATES} bootstrap replicates`,
  )
  console.log(figureTable(figures))
}
