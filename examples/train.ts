/**
 * `weir-router`: from a log to a calibrated router.
 *
 *     node examples/train.ts LOG STRONG WEAK [FOLDER]
 *
 * Node 22.18 and newer run TypeScript as it is; `npx tsx examples/train.ts` does on Node 20.
 */
import { calibrate, evaluate, readLogs, train, WeirError } from 'weir-router'

const [log, strong, weak, out = 'bundles'] = process.argv.slice(2)
if (!log || !strong || !weak) throw new Error('expected a log and the names of two of its models')

try {
  // rows are split into train, validation, calibration and test prompts; near duplicates stay together
  const dataset = await readLogs(log, { seed: 1 })
  console.log(`${dataset.prompts.length} prompts, models: ${dataset.models.join(', ')}`)

  const { bundle, report } = await train(dataset, {
    strong,
    weak,
    out,
    name: 'example',
    onProgress: ({ stage, done, total }) => console.error(stage, done, total ?? ''),
    signal: AbortSignal.timeout(600_000),
  })
  const [router] = report.routers
  console.log(`wrote ${bundle.path}`)
  console.log(`APGR ${router!.apgr.value} on ${report.rows} held-out prompts`)

  // 30% of the traffic may go to the strong model
  const calibrated = await calibrate(bundle.path, dataset, {
    target: { kind: 'strong-share', share: 0.3 },
  })
  if ('threshold' in calibrated) console.log(`threshold ${calibrated.threshold}`)

  const compared = await evaluate(bundle.path, dataset, { replicates: 100 })
  if ('baselines' in compared) {
    console.log(`compared with ${Object.keys(compared.baselines).join(', ')}`)
  }
} catch (error) {
  // every failure that a user can cause is a WeirError: a code to act on and a message to show
  if (!(error instanceof WeirError)) throw error
  console.error(`${error.code}: ${error.message}`)
  process.exitCode = error.exitCode
}
