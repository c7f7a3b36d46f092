import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { readJsonLines } from '../../data/jsonl.ts'
import { openSource } from '../../data/source.ts'
import { WeirError } from '../../models/errors.ts'
import { ChatMessage, promptText } from '../../models/messages.ts'
import { firstFault } from '../../models/schema-fault.ts'

const Unit = Type.Number({ minimum: 0, maximum: 1 })

/** A line about one prompt: where it must go, and what its win rate may be. Scores count towards `min_pgr`. */
export const GoldenPrompt = Type.Object(
  {
    id: Type.Optional(Type.String()),
    prompt: Type.Union([Type.String({ minLength: 1 }), Type.Array(ChatMessage, { minItems: 1 })]),
    expect: Type.Optional(
      Type.String({ minLength: 1, description: '`strong`, `weak` or the name of a model' }),
    ),
    min_win_rate: Type.Optional(Unit),
    max_win_rate: Type.Optional(Unit),
    category: Type.Optional(Type.String()),
    scores: Type.Optional(Type.Record(Type.String(), Unit)),
  },
  { additionalProperties: false },
)
export type GoldenPrompt = Type.Static<typeof GoldenPrompt>

/** A line about all prompts of the file, or those of one category. */
export const GoldenBounds = Type.Object(
  {
    id: Type.Optional(Type.String()),
    category: Type.Optional(Type.String()),
    bounds: Type.Object(
      {
        min_strong_share: Type.Optional(Unit),
        max_strong_share: Type.Optional(Unit),
        min_pgr: Type.Optional(Type.Number()),
      },
      { additionalProperties: false, minProperties: 1 },
    ),
  },
  { additionalProperties: false },
)
export type GoldenBounds = Type.Static<typeof GoldenBounds>

interface Placed {
  readonly line: number
}

export interface GoldenFile {
  readonly path: string
  readonly prompts: readonly (GoldenPrompt & Placed & { readonly text: string })[]
  readonly bounds: readonly (GoldenBounds & Placed)[]
}

const checkPrompt = Compile(GoldenPrompt)
const checkBounds = Compile(GoldenBounds)

/** Reads a golden file whole. A line that fits neither kind is an error with its file, line and field. */
export async function readGolden(path: string, signal?: AbortSignal): Promise<GoldenFile> {
  const prompts: GoldenFile['prompts'][number][] = []
  const bounds: GoldenFile['bounds'][number][] = []
  const source = await openSource(path, signal)
  for await (const batch of readJsonLines(source.chunks())) {
    for (const item of batch) {
      const { line } = item
      if (!('record' in item)) {
        throw new WeirError('row_invalid', { path, line, field: item.field, reason: item.reason })
      }
      const { record } = item
      const check = 'bounds' in record ? checkBounds : checkPrompt
      if (!check.Check(record)) {
        const { field, expected, got } = firstFault(check.Errors(record), record)
        throw new WeirError('row_invalid', {
          path,
          line,
          field,
          reason: `expected ${expected}, got ${got}`,
        })
      }
      if ('bounds' in record) bounds.push({ ...(record as GoldenBounds), line })
      else {
        const row = record as GoldenPrompt
        prompts.push({ ...row, line, text: promptText(row.prompt) })
      }
    }
  }
  if (prompts.length === 0) {
    throw new WeirError('rows_too_few', { expected: 1, what: `with a prompt in ${path}`, got: 0 })
  }
  return { path, prompts, bounds }
}
