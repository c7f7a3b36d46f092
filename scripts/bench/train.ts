import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { planBatches } from '../../training/engine/batches.ts'
import { openTerminal, table } from '../terminal.ts'
import { bytes, L2, LEARNING_RATE, type MfShape, SEED, writeMfArrays } from './train-arrays.ts'

/** `npm run bench:train`: our engines and PyTorch on the same arrays, order and initial values. */
interface Run {
  readonly what: string
  /** an epoch, the best of the run's */
  readonly seconds: number
  readonly cpu: number
  readonly losses: readonly number[]
  readonly peakMB: number
}

const json = process.argv.includes('--json')
const terminal = openTerminal()
const SHAPES = [
  { dimension: 1536, batchSize: 64 },
  { dimension: 384, batchSize: 64 },
  { dimension: 1536, batchSize: 2048 },
  { dimension: 384, batchSize: 2048 },
].map((shape): MfShape => ({ pairs: 20_000, models: 64, rank: 128, epochs: 5, ...shape }))

const figures: Record<string, number> = {}
const report: Record<string, readonly Run[]> = {}
const python = torchPython()
if (!python) terminal.note('PyTorch is not installed (Debian: python3-torch); comparing without it')
const folder = mkdtempSync(join(tmpdir(), 'weir-bench-'))
try {
  for (const shape of SHAPES) await compare(shape)
} finally {
  rmSync(folder, { recursive: true })
}
if (json) terminal.json({ figures, runs: report })
else for (const [name, value] of Object.entries(figures)) terminal.print(`${name}: ${value}`)

async function compare(shape: MfShape): Promise<void> {
  const name = `mf_${shape.dimension}_b${shape.batchSize}`
  const at = join(folder, name)
  mkdirSync(at)
  writeMfArrays(at, shape)
  writeOrders(at, shape)
  const task = { folder: at, shape, learningRate: LEARNING_RATE, l2: L2 }
  const ours = (engine: string, threads: number, epochs: number) =>
    run(process.execPath, ['--import', 'tsx', script('train-engine.ts')], {
      ...task,
      shape: { ...shape, epochs },
      engine,
      threads,
    })
  const torch = (threads: number): Run[] =>
    python ? [run(python, [script('train-torch.py')], { ...task, threads })] : []
  // theirs before and after ours, so that a busy moment of the machine does not decide
  const theirs = [...torch(1), ...torch(2)]
  const onnx = [ours('onnx', 2, shape.epochs), ours('onnx', 2, shape.epochs)]
  theirs.push(...torch(1), ...torch(2))
  const tfjs = [ours('tfjs', 1, 1)]
  rmSync(at, { recursive: true })

  report[name] = [...onnx, ...tfjs, ...theirs]
  const best = fastest(onnx)
  if (theirs.length > 0) {
    figures[`${name}_vs_torch`] = round(fastest(theirs).seconds / best.seconds)
    figures[`${name}_memory_vs_torch`] = round(
      Math.min(...theirs.map((t) => t.peakMB)) / best.peakMB,
    )
    figures[`${name}_loss_difference`] = Math.max(
      ...best.losses.map((loss, i) => Math.abs(loss - theirs[0]!.losses[i]!)),
    )
  }
  if (json) return
  terminal.print(`\n${name}: ${shape.pairs} pairs, ${shape.models} models, rank ${shape.rank}`)
  terminal.print(
    table([
      ['', 's/epoch', 'CPU s/epoch', 'peak MB', 'loss, first epoch'],
      ...report[name].map((r) => [
        r.what,
        r.seconds.toFixed(3),
        r.cpu.toFixed(3),
        r.peakMB.toFixed(0),
        r.losses[0]!.toFixed(7),
      ]),
    ]),
  )
}

/** The engines' own shuffles, for PyTorch to follow. */
function writeOrders(at: string, { pairs, batchSize, epochs }: MfShape): void {
  const rows = { rows: pairs, columns: {}, lookups: {}, weight: new Float32Array(pairs).fill(1) }
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const { order } = planBatches(rows, batchSize, { seed: SEED, epoch })
    writeFileSync(join(at, `order${epoch}`), bytes(order.subarray(0, pairs)))
  }
}

function run(program: string, args: readonly string[], task: object): Run {
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit']
  const out = execFileSync(program, [...args, JSON.stringify(task)], { encoding: 'utf8', stdio })
  return JSON.parse(out.trim().split('\n').at(-1)!) as Run
}

function torchPython(): string | undefined {
  return ['python3', '/usr/bin/python3'].find((program) => {
    try {
      execFileSync(program, ['-c', 'import torch'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
}

function script(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url))
}

function fastest(runs: readonly Run[]): Run {
  return runs.reduce((a, b) => (b.seconds < a.seconds ? b : a))
}

function round(ratio: number): number {
  return Math.round(ratio * 100) / 100
}
