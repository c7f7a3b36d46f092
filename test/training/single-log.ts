import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRandom } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { readLogs } from '../../data/ingest.ts'

export interface SingleWorld {
  readonly rows: number
  readonly seed: number
  /** the probability that the strong model is asked, given whether the prompt is hard */
  readonly asked: (hard: boolean, row: number) => number
  /** adds the probability of the model that answered to each row */
  readonly logged?: boolean
  /** the probability that the answer is rated; 1 if absent */
  readonly rated?: (hard: boolean, strong: boolean, row: number) => number
  /** share of the prompts that both models answer */
  readonly paired?: number
  /** further columns of a row */
  readonly more?: (row: number, hard: boolean) => object
}

/** The strong model is right with .9; the weak one with .85 on easy prompts and .3 on hard ones, half of all. */
export const TRUE_GAP = 0.9 - (0.85 + 0.3) / 2

/** Lines of a log in which one of `big` and `small` answered most prompts, of six words out of thirty. */
export function singleLines(world: SingleWorld): object[] {
  const random = createRandom(world.seed)
  return Array.from({ length: world.rows }, (_, i) => {
    const hard = random.next() < 0.5
    const words = Array.from({ length: 5 }, () => `word${random.int(28) + 2}`)
    words.push(hard ? 'word0' : 'word1')
    const strong = random.next() < world.asked(hard, i)
    const big = Number(random.next() < 0.9)
    const small = Number(random.next() < (hard ? 0.3 : 0.85))
    const both = random.next() < (world.paired ?? 0)
    const e = world.asked(hard, i)
    const rated = !world.rated || random.next() < world.rated(hard, strong, i)
    const single = strong ? { big: rated ? big : null } : { small: rated ? small : null }
    return {
      prompt: `${words.join(' ')} ${i * 7}`,
      scores: both ? { big, small } : single,
      ...(world.logged && !both && { propensities: strong ? { big: e } : { small: 1 - e } }),
      ...world.more?.(i, hard),
    }
  })
}

export async function writeLines(lines: readonly object[]): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), 'weir-single-')), 'log.jsonl')
  await writeFile(path, lines.map((line) => JSON.stringify(line)).join('\n'))
  return path
}

export async function singleLog(world: SingleWorld): Promise<Dataset> {
  const path = await writeLines(singleLines(world))
  return readLogs([path], { seed: 1, rejectsPath: `${path}.rejects` })
}
