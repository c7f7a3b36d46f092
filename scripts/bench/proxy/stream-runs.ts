import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { middle, residentMegabytes } from '../figures.ts'
import { onCore, type Server, SOURCE } from '../load.ts'
import type { Contenders } from './contenders.ts'

export interface StreamResult {
  /** medians of the rounds: time to the first token through a server less that of the upstream itself */
  readonly addedMs: { readonly weir: number; readonly bare: number }
  /** streams of the waves that were incomplete */
  readonly broken: number
  /** reasons: a status, or `cut` */
  readonly how: Readonly<Record<string, number>>
  /** resident memory after the last wave less that after the second */
  readonly growthMB: number
}

export interface StreamOptions {
  readonly rounds: number
  /** streams per wave, and number of waves */
  readonly many: number
  readonly waves: number
  readonly onWave: (wave: number) => void
}

/** Streams per round of first tokens; about ten run at a time. */
const FEW = 60

/** Measures first tokens, then memory under waves of many streams. */
export async function measureStreams(
  { direct, weir, bare }: Contenders,
  { rounds, many, waves, onWave }: StreamOptions,
): Promise<StreamResult> {
  const added = { weir: [] as number[], bare: [] as number[] }
  for (let i = 0; i < rounds; i++) {
    const least = (await runStreams(direct, FEW)).p50Ms
    added.weir.push((await runStreams(weir, FEW)).p50Ms - least)
    added.bare.push((await runStreams(bare, FEW)).p50Ms - least)
  }
  let whole = 0
  let early = 0
  const how: Record<string, number> = {}
  for (let wave = 1; wave <= waves; wave++) {
    onWave(wave)
    const run = await runStreams(weir, many)
    whole += run.whole
    for (const [name, n] of Object.entries(run.broken)) how[name] = (how[name] ?? 0) + n
    if (wave === 2) early = residentMegabytes(weir.pid)
  }
  return {
    addedMs: { weir: middle(added.weir), bare: middle(added.bare) },
    broken: waves * many - whole,
    how,
    growthMB: residentMegabytes(weir.pid) - early,
  }
}

interface StreamsRun {
  readonly whole: number
  readonly broken: Readonly<Record<string, number>>
  readonly p50Ms: number
}

async function runStreams({ url }: Server, streams: number): Promise<StreamsRun> {
  const content = 'Prove that the square root of 2 is irrational.'
  const body = { model: 'weir/default', stream: true, messages: [{ role: 'user', content }] }
  const script = join(import.meta.dirname, 'streams.ts')
  const [program, ...rest] = onCore(1, [...SOURCE, script, url, String(streams)])
  const { stdout } = await promisify(execFile)(program!, [...rest, JSON.stringify(body)])
  return JSON.parse(stdout) as StreamsRun
}
