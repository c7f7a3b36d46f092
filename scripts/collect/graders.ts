import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { COLLECTION_FILES } from './collection.ts'
import { type JudgeSpec, judgeName } from './run.ts'

/** Who grades the answers of a collection; later runs may add to it. */
const Graders = Type.Object(
  {
    judges: Type.Array(
      Type.Object({
        model: Type.String({ minLength: 1 }),
        mode: Type.Union([Type.Literal('pairs'), Type.Literal('single')]),
        rubric: Type.Optional(Type.String()),
        maxTokens: Type.Integer({ minimum: 1 }),
      }),
    ),
    /** as given to `--check` */
    checks: Type.Array(Type.String()),
  },
  { additionalProperties: false },
)
export interface Graders {
  readonly judges: readonly JudgeSpec[]
  readonly checks: readonly string[]
}

const check = Compile(Graders)

/** @throws collection_invalid */
export async function readGraders(folder: string): Promise<Graders> {
  const path = join(folder, COLLECTION_FILES.graders)
  if (!existsSync(path)) return { judges: [], checks: [] }
  let value: unknown
  try {
    value = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    const reason = `${COLLECTION_FILES.graders} cannot be read: ${(cause as Error).message}`
    throw new WeirError('collection_invalid', { path: folder, reason }, { cause })
  }
  if (check.Check(value)) return value
  const reason = `${COLLECTION_FILES.graders} does not hold judges and checks`
  throw new WeirError('collection_invalid', { path: folder, reason })
}

/** Both, each grader once. */
export function addGraders(before: Graders, more: Graders): Graders {
  const judges = new Map([...before.judges, ...more.judges].map((one) => [judgeName(one), one]))
  return {
    judges: [...judges.values()],
    checks: [...new Set([...before.checks, ...more.checks])],
  }
}
