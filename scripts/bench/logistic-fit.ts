import { fitLogistic } from '../../training/solver/logistic.ts'
import { ownCpuSeconds } from './figures.ts'
import { type LogisticShape, readLogisticArrays } from './logistic-arrays.ts'

/** Runs our solver in a separate process: prints one JSON object. */
const { folder, shape } = JSON.parse(process.argv[2]!) as { folder: string; shape: LogisticShape }
const { rows, dimension, l2 } = shape
const { x, y } = readLogisticArrays(folder)
const problem = {
  embeddings: { kind: 'dense', rows, dimension, values: x } as const,
  rows: Int32Array.from({ length: rows }, (_, i) => i),
  labels: y,
  weights: new Float32Array(rows).fill(1),
  l2,
  maxIterations: 500,
  tolerance: 5e-5,
}
const runs = []
for (let round = 0; round < 3; round++) {
  const [began, before] = [performance.now(), process.cpuUsage()]
  const fit = await fitLogistic(problem)
  runs.push({
    what: `weir L-BFGS, ${fit.iterations} iterations`,
    seconds: (performance.now() - began) / 1000,
    cpu: ownCpuSeconds(before),
    losses: [fit.objective],
    peakMB: process.resourceUsage().maxRSS / 1024,
  })
}
console.log(JSON.stringify(runs.reduce((a, b) => (b.seconds < a.seconds ? b : a))))
