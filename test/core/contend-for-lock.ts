import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { built } from '../built/build.ts'

export interface Contention {
  readonly takings: number
  readonly kills: number
  /** kills that hit a process while it held the lock */
  readonly killedHolding: number
  /** takings while another process held the lock: `name within name` */
  readonly overlaps: readonly string[]
}

const TAKERS = 4
/** A line of the report has about as many bytes, and never more. */
const LINE = 30

/**
 * Processes that only take one lock, of which one after another is killed (-9) and replaced, until they have
 * taken it about that often. Whoever was killed held the lock at most until just before the signal was sent.
 */
export async function contendForLock(least: {
  readonly takings: number
  readonly kills: number
  /** `postgres://...`, whose lock is taken in place of a folder's */
  readonly store?: string
}): Promise<Contention> {
  const root = mkdtempSync(join(tmpdir(), 'weir-lock-'))
  const folder = join(root, 'folder')
  const report = join(root, 'report')
  mkdirSync(folder)
  writeFileSync(report, '')
  const entry = join(built(), 'test/core/lock-taker.js')
  const takers: { child: ChildProcess; name: string }[] = []
  const killed = new Map<string, bigint>()
  let born = 0
  const start = () => {
    const name = `p${++born}`
    const { store } = least
    const kind = store !== undefined ? 'store' : born % 2 === 0 ? 'try' : 'wait'
    const child = spawn(process.execPath, [entry, store ?? folder, report, name, kind], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    takers.push({ child, name })
  }
  try {
    for (let i = 0; i < TAKERS; i++) start()
    const size = (2 * LINE * least.takings) / least.kills
    while (killed.size < least.kills) {
      // one is killed at whatever it does after so many takings of all
      while (statSync(report).size < size * (killed.size + 1)) await wait(1)
      const { child, name } = takers.shift()!
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`)
      killed.set(name, process.hrtime.bigint())
      child.kill('SIGKILL')
      start()
    }
  } finally {
    for (const { child, name } of takers) {
      killed.set(name, process.hrtime.bigint())
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }
  }
  const lines = readFileSync(report, 'utf8').split('\n').slice(0, -1)
  rmSync(root, { recursive: true })
  return { ...examine(lines, killed), kills: killed.size }
}

function examine(lines: readonly string[], killed: ReadonlyMap<string, bigint>) {
  const ends = new Map<string, bigint>()
  const takings: { name: string; from: bigint; to: bigint }[] = []
  let killedHolding = 0
  for (const line of lines.toReversed()) {
    const [what, name, time] = line.split(' ') as [string, string, string]
    if (what === 'out') ends.set(name, BigInt(time))
    else {
      if (!ends.has(name)) killedHolding++
      takings.push({ name, from: BigInt(time), to: ends.get(name) ?? killed.get(name)! })
      ends.delete(name)
    }
  }
  takings.sort((a, b) => (a.from < b.from ? -1 : 1))
  const overlaps: string[] = []
  let last = takings[0]
  for (const taking of takings.slice(1)) {
    if (last && taking.from < last.to) overlaps.push(`${taking.name} within ${last.name}`)
    if (!last || taking.to > last.to) last = taking
  }
  return { takings: takings.length, killedHolding, overlaps }
}
