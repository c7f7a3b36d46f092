import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRandom } from '../../core/random.ts'

/**
 * A log of outcomes of `big` and `small` on prompts of six words out of thirty: two of the words say that the
 * small model fails, nine times in ten; without them it does once in five. Returns the file's path.
 */
export async function writeSmallLog(rows: number, seed: number): Promise<string> {
  const random = createRandom(seed)
  const lines = Array.from({ length: rows }, (_, i) => {
    const picked = Array.from({ length: 6 }, () => `word${random.int(30)}`)
    const need = picked.includes('word0') || picked.includes('word1')
    const scores = { big: 1, small: Number(random.next() > (need ? 0.9 : 0.2)) }
    return JSON.stringify({ prompt: `${picked.join(' ')} ${i * 7}`, scores })
  })
  const path = join(await mkdtemp(join(tmpdir(), 'weir-small-')), 'log.jsonl')
  await writeFile(path, lines.join('\n'))
  return path
}
