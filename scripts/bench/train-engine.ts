import { createEngine } from '../../training/engine/engines.ts'
import { ownCpuSeconds } from './figures.ts'
import { LEARNING_RATE, type MfShape, readMfArrays, SEED } from './train-arrays.ts'

/** One engine's run in a separate process, to measure its memory: prints one JSON object. */
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
// CPU between the ends of epochs, as PyTorch's script measures it: without the start
const ends: number[] = []
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
    consumeTables: true,
    onProgress: () => void ends.push(ownCpuSeconds()),
  },
)
await engine.close()
console.log(
  JSON.stringify({
    what: result.backend,
    seconds: Math.min(...result.epochs.map((epoch) => epoch.seconds)),
    cpu: Math.min(
      ...ends.slice(1).map((end, i) => end - ends[i]!),
      ends.length > 1 ? Infinity : ownCpuSeconds(),
    ),
    losses: result.epochs.map((epoch) => epoch.trainLoss),
    peakMB: process.resourceUsage().maxRSS / 1024,
  }),
)
