import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { table } from '../terminal/terminal.ts'

/** One contender's results, measured in a separate process. */
export interface Run {
  readonly what: string
  /** wall time, the best of its repeats */
  readonly seconds: number
  readonly cpu: number
  readonly losses: readonly number[]
  readonly peakMB: number
}

/** Runs one of our scripts, which prints a Run. */
export function runOurs(script: string, task: object): Run {
  return run(process.execPath, ['--import', 'tsx', pathOf(script)], task)
}

export function runPython(python: string, script: string, task: object): Run {
  return run(python, [pathOf(script)], task)
}

function run(program: string, args: readonly string[], task: object): Run {
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit']
  const out = execFileSync(program, [...args, JSON.stringify(task)], { encoding: 'utf8', stdio })
  return JSON.parse(out.trim().split('\n').at(-1)!) as Run
}

/** A python3 that has the module, or undefined. */
export function pythonWith(module: string): string | undefined {
  return ['python3', '/usr/bin/python3'].find((program) => {
    try {
      execFileSync(program, ['-c', `import ${module}`], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
}

export function fastest(runs: readonly Run[]): Run {
  return runs.reduce((a, b) => (b.seconds < a.seconds ? b : a))
}

export function leastMemory(runs: readonly Run[]): number {
  return Math.min(...runs.map((run) => run.peakMB))
}

export function ratio(theirs: number, ours: number): number {
  return Math.round((theirs / ours) * 100) / 100
}

export function runTable(runs: readonly Run[], unit: string, loss: string): string {
  return table([
    ['', `seconds ${unit}`, 'CPU seconds', 'peak MB', loss],
    ...runs.map((run) => [
      run.what,
      run.seconds.toFixed(3),
      run.cpu.toFixed(3),
      run.peakMB.toFixed(0),
      run.losses[0]!.toFixed(7),
    ]),
  ])
}

function pathOf(script: string): string {
  return fileURLToPath(new URL(script, import.meta.url))
}
