import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GraphBuilder } from '../../models/onnx/builder.ts'
import { encodeOnnx } from '../../models/onnx/encode.ts'
import { createSession, openOrt } from '../../models/onnx/session.ts'
import { planBatches } from '../../training/engine/batches.ts'
import { openTerminal } from '../terminal/terminal.ts'
import {
  fastest,
  leastMemory,
  pythonWith,
  type Run,
  ratio,
  runOurs,
  runPython,
  runTable,
} from './bench-run.ts'
import { figureTable } from './figures.ts'
import { type LogisticShape, writeLogisticArrays } from './logistic-arrays.ts'
import { bytes, L2, LEARNING_RATE, type MfShape, SEED, writeMfArrays } from './train-arrays.ts'

/**
 * `npm run bench:train`: compares matrix factorization with PyTorch and logistic regression with
 * scikit-learn, on the same arrays, initial values and order of rows, each run in a separate process and each
 * library at its best thread setting. Names given as arguments select some of the cases.
 */
const json = process.argv.includes('--json')
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const terminal = openTerminal()
const figures: Record<string, number> = {}
const runs: Record<string, readonly Run[]> = {}
const torch = pythonWith('torch')
const sklearn = pythonWith('sklearn')
if (!torch) terminal.note('PyTorch is absent (Debian: python3-torch): mf is not compared')
if (!sklearn) terminal.note('scikit-learn is absent (Debian: python3-sklearn): not compared')

const MF: readonly MfShape[] = [
  { dimension: 1536, batchSize: 64 },
  { dimension: 384, batchSize: 64 },
  { dimension: 1536, batchSize: 2048 },
  { dimension: 384, batchSize: 2048 },
].map((shape) => ({ pairs: 20_000, models: 64, rank: 128, epochs: 4, ...shape }))
const LOGISTIC: readonly LogisticShape[] = [384, 1536].map((dimension) => ({
  rows: 50_000,
  dimension,
  l2: 1,
}))

/**
 * Seconds of epochs after which a PyTorch run starts no further one; its threads are very slow on a busy
 * machine.
 */
const BUDGET = 15

const folder = mkdtempSync(join(tmpdir(), 'weir-bench-'))
try {
  for (const threads of [1, 2]) figures[`sgemm_gflops_${threads}`] = await measureSgemm(threads)
  for (const shape of MF) await inFolder(`mf_${shape.dimension}_b${shape.batchSize}`, shape, mf)
  for (const shape of LOGISTIC) await inFolder(`logistic_${shape.dimension}`, shape, logistic)
} finally {
  rmSync(folder, { recursive: true })
}
if (json) terminal.json({ figures, runs })
else {
  terminal.print('')
  terminal.print(figureTable(figures))
}

async function inFolder<Shape>(
  name: string,
  shape: Shape,
  compare: (name: string, shape: Shape, at: string) => void,
): Promise<void> {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) return
  terminal.note(`${name}...`)
  const at = join(folder, name)
  mkdirSync(at)
  compare(name, shape, at)
  rmSync(at, { recursive: true })
}

function mf(name: string, shape: MfShape, at: string): void {
  writeMfArrays(at, shape)
  writeOrders(at, shape)
  const task = { folder: at, shape, learningRate: LEARNING_RATE, l2: L2, budget: BUDGET }
  const ours = (engine: string, threads: number, epochs = shape.epochs): Run =>
    runOurs('train-engine.ts', { ...task, shape: { ...shape, epochs }, engine, threads })
  const theirs: Run[] = []
  const onnx: Run[] = []
  // in turn, and twice if that is quick, so that a busy moment of the machine does not decide
  const began = performance.now()
  for (let round = 0; round < 2 && performance.now() - began < 2e3 * BUDGET; round++) {
    for (const threads of [1, 2]) {
      onnx.push(ours('onnx', threads))
      if (torch) theirs.push(runPython(torch, 'train-torch.py', { ...task, threads }))
    }
  }
  const tfjs = shape.batchSize === 64 ? [ours('tfjs', 1, 1)] : []
  runs[name] = [...onnx, ...tfjs, ...theirs]
  const best = fastest(onnx)
  // forward and backward of the projection, which is nearly all of the arithmetic
  const flops = 4 * shape.pairs * shape.dimension * shape.rank
  figures[`${name}_gflops`] = Math.round(flops / best.seconds / 1e9)
  if (theirs.length > 0) {
    figures[`${name}_vs_torch`] = ratio(fastest(theirs).seconds, best.seconds)
    figures[`${name}_cpu_vs_torch`] = ratio(leastCpu(theirs), leastCpu(onnx))
    figures[`${name}_memory_vs_torch`] = ratio(leastMemory(theirs), leastMemory(onnx))
    const { losses } = theirs[0]!
    figures[`${name}_loss_difference`] = Math.max(
      ...losses.map((loss, epoch) => Math.abs(loss - best.losses[epoch]!)),
    )
  }
  print(name, `${shape.pairs} pairs`, runTable(runs[name], 'an epoch', 'loss, first epoch'))
}

function logistic(name: string, shape: LogisticShape, at: string): void {
  writeLogisticArrays(at, shape)
  const task = { folder: at, shape }
  const ours = [runOurs('logistic-fit.ts', task)]
  const theirs: Run[] = []
  for (const threads of sklearn ? [1, 2] : []) {
    const target = ours[0]!.losses[0]!
    theirs.push(runPython(sklearn!, 'logistic-sklearn.py', { ...task, threads, target }))
  }
  ours.push(runOurs('logistic-fit.ts', task))
  runs[name] = [...ours, ...theirs]
  if (theirs.length > 0) {
    const [best, rival] = [fastest(ours), fastest(theirs)]
    figures[`${name}_vs_sklearn`] = ratio(rival.seconds, best.seconds)
    figures[`${name}_cpu_vs_sklearn`] = ratio(leastCpu(theirs), leastCpu(ours))
    figures[`${name}_memory_vs_sklearn`] = ratio(leastMemory(theirs), leastMemory(ours))
    figures[`${name}_objective_difference`] = rival.losses[0]! / best.losses[0]! - 1
  }
  print(name, `${shape.rows} rows`, runTable(runs[name], 'a fit', 'objective'))
}

function leastCpu(some: readonly Run[]): number {
  return Math.min(...some.map((run) => run.cpu))
}

function print(name: string, size: string, report: string): void {
  if (!json) terminal.print(`\n${name}: ${size}\n${report}`)
}

/** The engines' own shuffles, for PyTorch to follow. */
function writeOrders(at: string, { pairs, batchSize, epochs }: MfShape): void {
  const rows = { rows: pairs, columns: {}, lookups: {}, weight: new Float32Array(pairs).fill(1) }
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const { order } = planBatches(rows, batchSize, { seed: SEED, epoch })
    writeFileSync(join(at, `order${epoch}`), bytes(order.subarray(0, pairs)))
  }
}

/** GFLOP/s of this machine's best single-precision matrix product: onnxruntime's, 1024 cubed. */
async function measureSgemm(threads: number): Promise<number> {
  const size = 1024
  const graph = new GraphBuilder()
  const shape = [size, size]
  graph.input('a', 'float32', shape)
  graph.input('b', 'float32', shape)
  graph.output(graph.node('MatMul', ['a', 'b']), 'float32', shape, 'c')
  const session = await createSession(encodeOnnx({ graph: graph.finish('sgemm') }), { threads })
  const ort = await openOrt()
  const values = new Float32Array(size * size).fill(0.5)
  const tensor = new ort.Tensor('float32', values, shape)
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 12; round++) {
    const began = performance.now()
    await session.run({ a: tensor, b: tensor })
    best = Math.min(best, (performance.now() - began) / 1000)
  }
  return (2 * size ** 3) / best / 1e9
}
