import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { makeHf } from '../../models/encoders/hf/encoder.ts'
import { medianMilliseconds, wordsPrompt } from '../cli/encoder-timing.ts'
import { middle } from './figures.ts'
import { writeMiniLm } from './minilm.ts'

type Embed = (text: string) => Promise<ArrayLike<number>>

const ROUNDS = 5

/**
 * `hf` on a model of MiniLM's shape, and transformers.js on the same files, taking turns, where it is installed:
 * in the project, or in the folder that WEIR_PEERS names. The cosine is the worst of ten prompts.
 */
export async function besideTransformers(
  onRound: (done: number, total: number) => void,
): Promise<Record<string, number>> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-minilm-'))
  const vocabulary = Array.from({ length: 400 }, (_, i) => wordsPrompt(30, i).replace('?', ''))
  await writeMiniLm(folder, vocabulary.join(' ').split(' '))
  const { encoder } = await makeHf(folder)
  const ours: Embed = async (text) => {
    const { embeddings } = await encoder.encode([text])
    return embeddings.kind === 'dense' ? embeddings.values : []
  }
  try {
    const theirs = await openPeer(folder)
    const times: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] }
    const limits = { warm: 2, calls: 15, budgetMs: 1500 }
    for (let round = 0; round < ROUNDS; round++) {
      onRound(round, ROUNDS)
      const prompt = (i: number): string => wordsPrompt(20, 100 * round + i)
      times.ours.push(await medianMilliseconds(ours, prompt, limits))
      if (theirs) times.theirs.push(await medianMilliseconds(theirs, prompt, limits))
    }
    const minilm = middle(times.ours)
    if (!theirs) return { hf_minilm_20_ms: minilm }
    return {
      hf_minilm_20_ms: minilm,
      transformers_minilm_20_ms: middle(times.theirs),
      hf_vs_transformers: middle(times.theirs) / minilm,
      hf_transformers_cosine: await worstCosine(ours, theirs),
    }
  } finally {
    await encoder.close?.()
    await rm(folder, { recursive: true, force: true })
  }
}

interface TransformersJs {
  readonly env: { allowRemoteModels: boolean; localModelPath: string }
  pipeline(
    task: string,
    model: string,
    options: unknown,
  ): Promise<(text: string, options: unknown) => Promise<{ data: Float32Array }>>
}

async function openPeer(folder: string): Promise<Embed | undefined> {
  const peers = process.env.WEIR_PEERS
  const require = createRequire(peers ? join(peers, 'package.json') : import.meta.url)
  let entry: string
  try {
    entry = require.resolve('@huggingface/transformers')
  } catch {
    return undefined
  }
  const { env, pipeline } = (await import(pathToFileURL(entry).href)) as TransformersJs
  env.allowRemoteModels = false
  env.localModelPath = `${dirname(folder)}/`
  const embed = await pipeline('feature-extraction', basename(folder), {
    dtype: 'fp32',
    session_options: { intraOpNumThreads: 1, interOpNumThreads: 1 },
  })
  return async (text) => (await embed(text, { pooling: 'mean', normalize: true })).data
}

async function worstCosine(ours: Embed, theirs: Embed): Promise<number> {
  const texts = [
    'What is the capital of France?',
    'def f(x): return x*2 # 東京 🙂',
    ...Array.from({ length: 8 }, (_, i) => wordsPrompt(10 * (i + 1), i)),
  ]
  let worst = 1
  for (const text of texts) {
    const a = await ours(text)
    const b = await theirs(text)
    let dot = 0
    for (let j = 0; j < a.length; j++) dot += a[j]! * b[j]!
    worst = Math.min(worst, dot)
  }
  return worst
}
