import { readFile } from 'node:fs/promises'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { RouteRequest } from '../../models/decision.ts'
import { WeirError } from '../../models/errors.ts'
import type { Router } from '../../models/router.ts'
import { firstFault } from '../../models/schema-fault.ts'

/** Prompts of all kinds that every router must be able to score, whatever it was trained on. */
const PROBES = [
  'What is the capital of France?',
  'x',
  'Prove that there are infinitely many primes, then write a Python function that finds the n-th.',
  '¿Cómo se dice “good morning” en japonés? 日本語でお願いします。',
  '```ts\nconst a: number[] = []\n```\nWhy does `a[0].toFixed()` compile?',
  `Summarise: ${'All work and no play makes Jack a dull boy. '.repeat(200)}`,
  '\u0000\ud800 \u202e broken text \uffff',
]

/** What export allows between the two (DESIGN, Export). */
const PARITY_LIMIT = 1e-6

const GoldenRow = Type.Object({
  ...RouteRequest.properties,
  expect: Type.String({ minLength: 1, description: 'the model it must go to' }),
})
const goldenCheck = Compile(GoldenRow)

export interface CheckOptions {
  /** a JSONL file of requests with the model they must go to as `expect` */
  readonly golden: string | undefined
  /** runs the ONNX graph beside the folded head, which loads a runtime the server else does without */
  readonly parity: boolean
}

/**
 * What a version must pass before it may answer: its hashes were checked as it was read; here it
 * scores the probes, by both forms of its head alike, and sends each golden prompt where it must go.
 *
 * @throws bundle_refused, and whatever scoring throws
 */
export async function checkRouter(router: Router, options: CheckOptions): Promise<void> {
  const { golden } = options
  await router.score(PROBES)
  const difference = options.parity ? await router.parity(PROBES) : 0
  // written so that NaN fails it
  if (!(difference <= PARITY_LIMIT)) {
    throw new WeirError('bundle_refused', {
      path: router.path,
      reason: `its folded head and its ONNX graph differ by ${difference}`,
    })
  }
  if (!golden) return
  const text = await readFile(golden, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path: golden }, { cause })
  })
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const { expect, ...request } = parseGolden(line, golden, index + 1)
    const { model } = await router.route(request)
    if (model !== expect) {
      throw new WeirError('bundle_refused', {
        path: router.path,
        reason: `${golden}:${index + 1}: expected ${expect}, it chose ${model}`,
      })
    }
  }
}

function parseGolden(line: string, path: string, number: number): Type.Static<typeof GoldenRow> {
  let row: unknown
  try {
    row = JSON.parse(line)
  } catch (cause) {
    const reason = (cause as Error).message
    throw new WeirError('row_invalid', { path, line: number, field: 'row', reason }, { cause })
  }
  if (goldenCheck.Check(row)) return row
  const { field, expected, got } = firstFault(goldenCheck.Errors(row), row)
  const reason = `expected ${expected}, got ${got}`
  throw new WeirError('row_invalid', { path, line: number, field, reason })
}
