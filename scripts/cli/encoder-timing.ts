import type { OnProgress } from '../../core/progress.ts'
import { createRandom, deriveSeed } from '../../core/random.ts'
import { readLogs } from '../../data/ingest.ts'
import { cacheFolder } from '../../models/encoders/cache.ts'
import type { Encoder, EncoderArtifact } from '../../models/encoders/encoder.ts'
import { makeNamedEncoder } from '../../models/encoders/registry.ts'
import { fitLexical, PROJECTION_DEFAULTS } from '../../training/lexical/fit.ts'
import { packageFile } from './package-file.ts'

/** The cost of an encoder on this machine, on one thread. */
export interface EncoderTiming {
  readonly name: string
  readonly dimension: number
  /** its size in a bundle, in bytes */
  readonly bytes: number
  /** median milliseconds per prompt of this many tokens (four characters each) */
  readonly milliseconds: Readonly<Record<number, number>>
  /** prompts of about 128 tokens per second, in batches of 64 */
  readonly promptsPerSecond: number
  /** resident memory that loading and running it added, in bytes */
  readonly memory: number
}

const WORDS =
  'the of and to in is that for with as on by this be are from or an it was at which model answer question value number function result energy market water language system given following statement theory reaction person city history argument proof rate cost price force current because between would should could about calculate explain describe write compare which determine probability equation cell gene protein acid company contract court law treatment patient symptom algorithm list string array sort merge'.split(
    ' ',
  )

/** A deterministic English-like prompt of this many words; each number gives another prompt. */
export function wordsPrompt(words: number, number: number): string {
  const random = createRandom(deriveSeed(number, `${words} words`))
  const text = Array.from({ length: words }, () => WORDS[random.int(WORDS.length)]!).join(' ')
  return `${text[0]!.toUpperCase()}${text.slice(1)}?`
}

/** The same with about four characters per token, as in English. */
export function tokensPrompt(tokens: number, number: number): string {
  const text = wordsPrompt(tokens, number)
  return text.slice(0, tokens * 4)
}

/** Median milliseconds per call; `budgetMs` ends it early. Prompts differ, so nothing is cached. */
export async function medianMilliseconds(
  run: (prompt: string) => Promise<unknown>,
  prompts: (i: number) => string,
  { warm = 5, calls = 200, budgetMs = 3000 } = {},
): Promise<number> {
  for (let i = 0; i < warm; i++) await run(prompts(i))
  const times: number[] = []
  const end = performance.now() + budgetMs
  for (let i = 0; i < calls && (i < 5 || performance.now() < end); i++) {
    const prompt = prompts(warm + i)
    const started = performance.now()
    await run(prompt)
    times.push(performance.now() - started)
  }
  times.sort((a, b) => a - b)
  return times[times.length >> 1]!
}

export async function timeEncoder(
  name: string,
  open: () => Promise<{ encoder: Encoder; bytes: number }>,
  tokens: readonly number[] = [20, 128, 512],
): Promise<EncoderTiming> {
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  const { encoder, bytes } = await open()
  try {
    const one = (prompt: string): Promise<unknown> => encoder.encode([prompt])
    const milliseconds: Record<number, number> = {}
    for (const count of tokens) {
      milliseconds[count] = await medianMilliseconds(one, (i) => tokensPrompt(count, i))
    }
    const batch = Array.from({ length: 64 }, (_, i) => tokensPrompt(128, i))
    const perBatch = await medianMilliseconds(
      () => encoder.encode(batch),
      () => '',
      {
        warm: 1,
        calls: 20,
        budgetMs: 2000,
      },
    )
    return {
      name,
      dimension: encoder.spec.dimension,
      bytes,
      milliseconds,
      promptsPerSecond: (1000 * batch.length) / perBatch,
      memory: Math.max(0, process.memoryUsage().rss - before),
    }
  } finally {
    await encoder.close?.()
  }
}

/** The rows of a table, heading first. */
export function timingRows(timings: readonly EncoderTiming[]): string[][] {
  const tokens = Object.keys(timings[0]?.milliseconds ?? {}).map(Number)
  const ms = (value: number): string =>
    value < 0.1 ? value.toFixed(4) : value < 10 ? value.toFixed(2) : value.toFixed(1)
  const megabytes = (value: number): string => (value / 1e6).toFixed(1)
  return [
    [
      'encoder',
      'dimension',
      'files MB',
      ...tokens.map((count) => `ms at ${count} tokens`),
      'prompts/s',
      'memory MB',
    ],
    ...timings.map((timing) => [
      timing.name,
      String(timing.dimension),
      megabytes(timing.bytes),
      ...tokens.map((count) => ms(timing.milliseconds[count]!)),
      Math.round(timing.promptsPerSecond).toLocaleString('en-US'),
      megabytes(timing.memory),
    ]),
  ]
}

interface OpeningOptions {
  readonly threads: number
  readonly onProgress?: OnProgress
}

/**
 * Opens an encoder on the calling thread, for measuring it. `lexical` and `lexical-dense` are fitted on the
 * sample log of the project.
 */
export async function openForTiming(
  name: string,
  { threads, onProgress }: OpeningOptions,
): Promise<{ encoder: Encoder; bytes: number }> {
  const artifact =
    name === 'lexical' || name === 'lexical-dense'
      ? await fitOnSample(name === 'lexical-dense')
      : await makeNamedEncoder(name, {
          inline: true,
          threads,
          cacheFolder: cacheFolder(process.env),
          ...(onProgress ? { onProgress } : {}),
        })
  let bytes = 0
  for (const file of artifact.files.values()) bytes += file.length
  return { encoder: artifact.encoder, bytes }
}

async function fitOnSample(dense: boolean): Promise<EncoderArtifact> {
  const { prompts } = await readLogs([packageFile('data/sample/outcomes.jsonl.gz')], { seed: 1 })
  return fitLexical({
    prompts,
    ...(dense ? { projection: { ...PROJECTION_DEFAULTS, seed: 1 } } : {}),
  })
}
