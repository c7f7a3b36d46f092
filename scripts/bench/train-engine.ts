import { createEngine } from '../../training/engine/engines.ts'
import { LEARNING_RATE, type MfShape, readMfArrays, SEED } from './train-arrays.ts'

/** One engine's run in a process of its own, so that its memory is its own: prints one JSON object. */
const {
  folder,
  shape,
  engine: name,
  threads,
} = JSON.parse(process.argv[2]!) as {
  folder: string
  shape: MfShape
  engine: string
  threads: number
}
const { spec, train, validation } = readMfArrays(folder, shape)
const engine = await createEngine(name)
const before = process.cpuUsage()
const result = await engine.fit(
  spec,
  { train, validation },
  {
    epochs: shape.epochs,
    batchSize: shape.batchSize,
    learningRate: LEARNING_RATE,
    patience: shape.epochs,
    seed: SEED,
    threads,
  },
)
const cpu = process.cpuUsage(before)
await engine.close()
console.log(
  JSON.stringify({
    what: result.backend,
    seconds: Math.min(...result.epochs.map((epoch) => epoch.seconds)),
    cpu: (cpu.user + cpu.system) / 1e6 / shape.epochs,
    losses: result.epochs.map((epoch) => epoch.trainLoss),
    peakMB: process.resourceUsage().maxRSS / 1024,
  }),
)
