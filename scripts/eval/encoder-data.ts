import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readLogs } from '../../data/ingest.ts'
import { pairLabels } from '../../data/pair.ts'
import { stem } from '../../data/stem.ts'
import { WeirError } from '../../models/errors.ts'
import { createRandom, deriveSeed } from '../../models/random.ts'

/** One pair's outcomes on distinct prompts, with the fold of each prompt's stem. */
export interface PairTable {
  readonly name: string
  /** where the rows come from, for people */
  readonly source: string
  readonly prompts: readonly string[]
  /** n x 2: the strong model's score, the weak one's */
  readonly scores: Float32Array
  readonly fold: Uint8Array
}

interface Source {
  readonly name: string
  readonly file: string
  readonly strong: string
  readonly weak: string
}

const REAL: readonly Source[] = [
  {
    name: 'mmlu',
    file: 'routellm-mmlu.csv.gz',
    strong: 'gpt-4-1106-preview',
    weak: 'mistralai/Mixtral-8x7B-Instruct-v0.1',
  },
  {
    name: 'gsm8k',
    file: 'routellm-gsm8k.csv.gz',
    strong: 'gpt-4-1106-preview',
    weak: 'mistralai/Mixtral-8x7B-Instruct-v0.1',
  },
  {
    name: 'mmlu-pro',
    file: 'mmlu-pro.jsonl.gz',
    strong: 'gpt-4o-2024-05',
    weak: 'Meta-Llama-3_1-8B-Instruct',
  },
]
const SAMPLE: Source = {
  name: 'sample',
  file: 'outcomes.jsonl.gz',
  strong: 'big-1',
  weak: 'small-1',
}

/** `WEIR_DATA`, else `../shared/data`, else the sample log of the project. */
export async function pairTables(
  only: readonly string[],
  options: { readonly folds: number; readonly seed: number },
): Promise<PairTable[]> {
  const root = join(import.meta.dirname, '../..')
  const folder = process.env.WEIR_DATA ?? join(root, '../shared/data')
  const real = REAL.filter(({ file }) => existsSync(join(folder, file)))
  const sources = real.length > 0 ? real : [SAMPLE]
  const from = real.length > 0 ? folder : join(root, 'data/sample')
  const known = sources.map(({ name }) => name)
  const unknown = only.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    throw new WeirError('option_invalid', {
      option: '--data',
      expected: `some of ${known.join(', ')} (in ${from})`,
      got: unknown,
    })
  }
  const tables: PairTable[] = []
  for (const source of sources) {
    if (only.length > 0 && !only.includes(source.name)) continue
    const dataset = await readLogs([join(from, source.file)], { seed: options.seed })
    const { prompt, strong, weak } = pairLabels(dataset, source.strong, source.weak)
    const { prefixes } = dataset.manifest.split
    tables.push({
      name: source.name,
      source: `${source.file}: ${source.strong} over ${source.weak}`,
      prompts: Array.from(prompt, (i) => dataset.prompts[i]!),
      scores: Float32Array.from({ length: prompt.length * 2 }, (_, k) =>
        k % 2 === 0 ? strong![k >> 1]! : weak![k >> 1]!,
      ),
      fold: Uint8Array.from(prompt, (i) =>
        createRandom(deriveSeed(options.seed, stem(dataset.prompts[i]!, prefixes))).int(
          options.folds,
        ),
      ),
    })
  }
  return tables
}
