import { spawn } from 'node:child_process'
import { createWriteStream, existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { createRandom, type Random } from '../../core/random.ts'
import { openTerminal, table } from '../terminal/terminal.ts'
import { figureTable } from './figures.ts'
import { buildCommand } from './weir-build.ts'

/**
 * `npm run bench:scale`: ingest, train, evaluate and calibrate as users run them, on generated outcomes of two models
 * at growing numbers of rows, with the exponents with which processor time and peak memory grow (1 is in proportion).
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    sizes: { type: 'string', default: '10000,100000,1000000' },
    /** paired: both models answered each prompt; single: one of them, half of the time each */
    rows: { type: 'string', default: 'paired,single' },
    /** the commands to run; all by default. Each needs the ones before it */
    only: { type: 'string', default: 'ingest,train,evaluate,calibrate' },
    /** keeps the logs, datasets and bundles, and uses those that are there */
    dir: { type: 'string' },
    /** a built `weir.js` to run instead of this checkout */
    command: { type: 'string' },
  },
})

const KINDS = ['paired', 'single'] as const
type Kind = (typeof KINDS)[number]

interface Run {
  readonly kind: Kind
  readonly step: string
  readonly rows: number
  readonly seconds: number
  readonly cpu: number
  readonly peakMb: number
}

const STEPS = ['ingest', 'train', 'evaluate', 'calibrate'] as const
const list = (text: string): string[] => text.split(',').filter((part) => part !== '')
const sizes = list(options.sizes).map(Number)
const kinds = KINDS.filter((kind) => list(options.rows).includes(kind))
const steps = STEPS.filter((step) => list(options.only).includes(step))
const terminal = openTerminal()
const folder = options.dir ?? (await mkdtemp(join(tmpdir(), 'weir-scale-')))
const runs: Run[] = []
try {
  await mkdir(folder, { recursive: true })
  const build = join(folder, 'build')
  await mkdir(build, { recursive: true })
  const command = options.command ?? (await buildCommand(build))
  for (const kind of kinds) {
    for (const rows of sizes) {
      const at = join(folder, `${kind}-${rows}`)
      await mkdir(at, { recursive: true })
      const log = join(at, 'log.jsonl')
      if (!existsSync(log)) await writeLog(log, rows, kind)
      for (const step of steps) {
        const run = { kind, step, rows, ...(await measure(command, argumentsOf(step, at), at)) }
        runs.push(run)
        if (!options.json) {
          terminal.print(
            `${kind} ${step} ${rows.toLocaleString('en-US')}: ${run.seconds.toFixed(1)} s, ${run.cpu.toFixed(1)} s of CPU, ${run.peakMb.toFixed(0)} MB`,
          )
        }
      }
      if (!options.dir) await rm(at, { recursive: true })
    }
  }
} finally {
  if (!options.dir) await rm(folder, { recursive: true, force: true })
}

const figures: Record<string, number> = {}
for (const kind of kinds) {
  for (const step of steps) {
    const own = runs.filter((run) => run.kind === kind && run.step === step)
    if (own.length < 2) continue
    figures[`${kind}_${step}_time_exponent`] = exponent(own, ({ cpu }) => cpu)
    figures[`${kind}_${step}_memory_exponent`] = exponent(own, ({ peakMb }) => peakMb)
  }
}
if (options.json) terminal.json({ runs, figures })
else {
  const text = runs.map(({ kind, step, rows, seconds, cpu, peakMb }) => [
    kind,
    step,
    rows.toLocaleString('en-US'),
    seconds.toFixed(1),
    cpu.toFixed(1),
    peakMb.toFixed(0),
  ])
  terminal.print(
    table([['rows', 'command', 'number', 'seconds', 'seconds of CPU', 'peak MB'], ...text]),
  )
  terminal.print(figureTable(figures))
}

function argumentsOf(step: (typeof STEPS)[number], at: string): string[] {
  const [dataset, bundles] = [join(at, 'dataset'), join(at, 'bundles')]
  const bundle = join(bundles, 'scale')
  switch (step) {
    case 'ingest':
      return ['data', 'ingest', join(at, 'log.jsonl'), '--out', dataset]
    case 'train':
      return [
        ...['train', dataset, '--strong', 'big', '--weak', 'small'],
        ...['--out', bundles, '--name', 'scale'],
      ]
    case 'evaluate':
      return ['evaluate', bundle, dataset]
    case 'calibrate':
      return ['calibrate', bundle, dataset, '--max-loss', '0.05', '--confidence', '0.9']
  }
}

/** Runs the command in a process of its own, with the caches in a folder of its own. */
async function measure(
  command: string,
  args: readonly string[],
  at: string,
): Promise<Pick<Run, 'seconds' | 'cpu' | 'peakMb'>> {
  const usage = `process.on('exit', () => {
    const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
    require('node:fs').writeSync(3, JSON.stringify({ cpu: (userCPUTime + systemCPUTime) / 1e6, peakMb: maxRSS / 1024 }))
  })`
  const preload = `data:text/javascript,import{createRequire}from'node:module';const require=createRequire('${process.cwd()}/');${encodeURIComponent(usage)}`
  const started = performance.now()
  const child = spawn(process.execPath, ['--import', preload, command, ...args], {
    env: { ...process.env, HOME: at, XDG_CACHE_HOME: join(at, 'cache') },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  const [, out, said, used] = child.stdio
  let [words, report] = ['', '']
  out!.resume()
  said!.on('data', (chunk) => {
    words = `${words}${chunk}`.slice(-2000)
  })
  used!.on('data', (chunk) => {
    report += chunk
  })
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  if (code !== 0) throw new Error(`weir ${args.join(' ')} ended with ${code}: ${words}`)
  const { cpu, peakMb } = JSON.parse(report) as Run
  return { seconds: (performance.now() - started) / 1000, cpu, peakMb }
}

/** Slope of the logarithm of a figure over that of the rows, by least squares. */
function exponent(of: readonly Run[], figure: (run: Run) => number): number {
  const x = of.map(({ rows }) => Math.log(rows))
  const y = of.map((run) => Math.log(figure(run)))
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const [mx, my] = [mean(x), mean(y)]
  const spread = x.reduce((sum, value) => sum + (value - mx) ** 2, 0)
  return x.reduce((sum, value, i) => sum + (value - mx) * (y[i]! - my), 0) / spread
}

/** Words of a prompt, commonest first; the last fifth say that it is hard. */
function vocabulary(random: Random): string[] {
  const letters = 'abcdefghijklmnopqrstuvwxyz'
  return Array.from({ length: 20_000 }, () =>
    Array.from({ length: 3 + random.int(7) }, () => letters[random.int(26)]!).join(''),
  )
}

/** The strong model is right with .9, the weak one with .9 on the easiest prompts and .3 on the hardest. */
async function writeLog(path: string, rows: number, kind: Kind): Promise<void> {
  const random = createRandom(1)
  const words = vocabulary(random)
  function* lines(): Generator<string> {
    let block = ''
    for (let i = 0; i < rows; i++) {
      const length = 10 + random.int(30)
      let [prompt, hard] = ['', 0]
      for (let k = 0; k < length; k++) {
        // Zipf-like: the logarithm of the rank is uniform
        const rank = Math.floor(words.length ** random.next()) - 1
        if (rank % 5 === 4) hard += 5 / length
        prompt += `${words[rank]!} `
      }
      const weak = 0.9 - 0.6 * Math.min(1, hard / 2)
      const big = Number(random.next() < 0.9)
      const small = Number(random.next() < weak)
      const asked = random.next() < 0.5
      const scores = kind === 'paired' ? { big, small } : asked ? { big } : { small }
      block += `${JSON.stringify({ prompt: `${prompt}${i}`, scores, category: `category ${i % 20}` })}\n`
      if (block.length > 1 << 20) {
        yield block
        block = ''
      }
    }
    yield block
  }
  await pipeline(lines, createWriteStream(path))
}
