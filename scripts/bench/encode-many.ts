import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { encodeToCache } from '../../data/embedding-cache.ts'
import { cacheFolder } from '../../models/encoders/cache.ts'
import type { Encoder } from '../../models/encoders/encoder.ts'
import { makeNamedEncoder } from '../../models/encoders/registry.ts'
import { wordsPrompt } from '../cli/encoder-timing.ts'
import { openTerminal } from '../terminal/terminal.ts'
import { figureTable, ownCpuSeconds } from './figures.ts'

/**
 * `npm run bench:encode-many`: encodes 100,000 prompts into the embedding cache, stopped once on the way and
 * resumed, compared with the encoder alone on a part of them. Limits: a tenth of the speed, and no memory.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    encoder: { type: 'string', default: 'use-lite' },
    prompts: { type: 'string', default: '100000' },
    words: { type: 'string', default: '8' },
  },
})
const CHUNK = 1024
const terminal = openTerminal()
const n = Number(options.prompts)
const prompts = Array.from({ length: n }, (_, i) => `${wordsPrompt(Number(options.words), i)} ${i}`)
const { encoder } = await makeNamedEncoder(options.encoder, {
  workers: availableParallelism(),
  cacheFolder: cacheFolder(process.env),
})
const folder = await mkdtemp(join(tmpdir(), 'weir-many-'))
try {
  // the encoder alone before and after, so that a slowdown of the machine affects both
  const before = await alone(encoder, prompts.slice(0, n / 20))
  const stopped = await stopAt(0.4)
  const memory = { start: process.memoryUsage().rss, most: 0 }
  const started = performance.now()
  const cpuBefore = process.cpuUsage()
  const { encoded } = await encodeToCache(prompts, encoder, {
    folder,
    onProgress(progress) {
      memory.most = Math.max(memory.most, process.memoryUsage().rss)
      terminal.onProgress(progress)
    },
  })
  const cached = encoded / ((performance.now() - started) / 1000)
  const cachedCpu = (1000 * ownCpuSeconds(cpuBefore)) / encoded
  const after = await alone(encoder, prompts.slice(n - n / 20))
  const speed = (2 * before.perSecond * after.perSecond) / (before.perSecond + after.perSecond)
  const cpu = (before.cpuMs + after.cpuMs) / 2
  terminal.endProgress()
  const figures = {
    encoder_prompts_s: speed,
    cached_prompts_s: cached,
    cached_vs_encoder: cached / speed,
    encoder_cpu_ms: cpu,
    cached_cpu_ms: cachedCpu,
    cached_vs_encoder_cpu: cpu / cachedCpu,
    kept_of_stopped_run: (n - encoded) / stopped,
    memory_growth_mb: Math.max(0, memory.most - memory.start) / 1e6,
  }
  if (options.json) terminal.json({ encoder: encoder.spec.id, prompts: n, figures })
  else terminal.print(figureTable(figures))
} finally {
  await encoder.close?.()
  await rm(folder, { recursive: true, force: true })
}

async function alone(
  of: Encoder,
  some: readonly string[],
): Promise<{ perSecond: number; cpuMs: number }> {
  const started = performance.now()
  const cpuBefore = process.cpuUsage()
  for (let i = 0; i < some.length; i += CHUNK) await of.encode(some.slice(i, i + CHUNK))
  return {
    perSecond: some.length / ((performance.now() - started) / 1000),
    cpuMs: (1000 * ownCpuSeconds(cpuBefore)) / some.length,
  }
}

/** Aborts once this fraction of the work is done; returns how many prompts were reported as done. */
async function stopAt(share: number): Promise<number> {
  const controller = new AbortController()
  let said = 0
  await encodeToCache(prompts, encoder, {
    folder,
    signal: controller.signal,
    onProgress({ done, total = n }) {
      said = done
      if (done >= share * total) controller.abort()
    },
  }).catch((error: unknown) => {
    if ((error as { code?: unknown }).code !== 'cancelled') throw error
  })
  return said
}
