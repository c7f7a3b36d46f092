import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { writeWhole } from '../../core/files.ts'
import { DATASET_FILES } from './manifest.ts'

const Share = Type.Number({ minimum: 0, maximum: 1 })

/** How good model a's answers are beside b's, by judges and by people, on prompts that both answered. */
export const JudgedPair = Type.Object({
  a: Type.String({ minLength: 1 }),
  b: Type.String({ minLength: 1 }),
  /** indices into the dataset's prompts, each once */
  prompt: Type.Array(Type.Integer({ minimum: 0 })),
  /** by judges, 1 if a is better; one per prompt */
  judged: Type.Array(Share),
  /** by people, null where nobody labelled; who labels is a random part of the prompts */
  human: Type.Array(Type.Union([Share, Type.Null()])),
  /** requests that the prompt stands for, up to a common factor */
  weight: Type.Array(Type.Number({ exclusiveMinimum: 0 })),
})
export type JudgedPair = Type.Static<typeof JudgedPair>

const JudgedFile = Type.Object({ format: Type.Literal(1), pairs: Type.Array(JudgedPair) })
const checkFile = Compile(JudgedFile)

export async function writeJudged(folder: string, pairs: readonly JudgedPair[]): Promise<void> {
  const path = join(folder, DATASET_FILES.judged)
  await writeWhole(path, `${JSON.stringify({ format: 1, pairs })}\n`)
}

/** Undefined if the dataset has none. @throws dataset_invalid */
export async function readJudged(
  folder: string,
  prompts: number,
): Promise<readonly JudgedPair[] | undefined> {
  const path = join(folder, DATASET_FILES.judged)
  if (!existsSync(path)) return undefined
  const invalid = (reason: string, cause?: unknown): WeirError =>
    new WeirError(
      'dataset_invalid',
      { path: folder, reason: `${DATASET_FILES.judged}: ${reason}` },
      { cause },
    )
  let value: unknown
  try {
    value = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw invalid('is not JSON', cause)
  }
  if (!checkFile.Check(value)) {
    const [error] = checkFile.Errors(value)
    throw invalid(`${error?.instancePath ?? ''} ${error?.message ?? 'does not fit'}`)
  }
  for (const { a, b, prompt, judged, human, weight } of value.pairs) {
    const lengths = new Set([prompt.length, judged.length, human.length, weight.length])
    if (lengths.size > 1) throw invalid(`the columns of ${a} and ${b} differ in length`)
    const outside = prompt.find((one) => one >= prompts)
    if (outside !== undefined) throw invalid(`prompt ${outside} of ${prompts} does not exist`)
  }
  return value.pairs
}
