import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { WeirError } from '../../core/errors.ts'
import { compilePattern } from '../../core/pattern.ts'
import { schemaTest } from '../../serving/strategies/checks.ts'
import { normalText } from '../../serving/strategies/normal-answer.ts'

/** An answer to check. */
export interface CheckedAnswer {
  readonly prompt: string
  readonly model: string
  readonly answer: string
  /** the right answer, where the prompts' file has one */
  readonly reference: string | undefined
}

/** Grades an answer without a model. */
export interface AnswerCheck {
  /** as it was asked for, such as `numeric` or `regex=\d+` */
  readonly name: string
  /** whether rows without a right answer cannot be checked */
  readonly needsReference: boolean
  /** In [0, 1]. */
  grade(answer: CheckedAnswer): number | Promise<number>
}

const NUMBER = /[-+\u2212]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?/giu

/**
 * The number that an answer gives: the one in `\boxed{...}`, after `####` or after "answer is", else the last one; NaN
 * without any.
 */
export function numberIn(text: string): number {
  const stated =
    /\\boxed\{([^{}]*)\}/.exec(text)?.[1] ??
    /####\s*(.+)/.exec(text)?.[1] ??
    [...text.matchAll(/answer(?:\s+is|\s*[:=])\s*([^\n]*)/gi)].at(-1)?.[1]
  const numbers = (of: string): string[] => [...of.matchAll(NUMBER)].map(([found]) => found)
  const found = (stated === undefined ? undefined : numbers(stated)[0]) ?? numbers(text).at(-1)
  return found === undefined ? Number.NaN : Number(found.replaceAll(',', '').replace('\u2212', '-'))
}

/** Equal but for rounding in the last of six digits. */
const sameNumber = (a: number, b: number): boolean =>
  Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(a), Math.abs(b))

/** The option that an answer to a multiple-choice question names, in upper case; undefined without one. */
export function choiceIn(text: string): string | undefined {
  const patterns = [
    /answer(?:\s+is|\s*[:=])\s*\**\s*(?:option\s*)?\(?([A-Z])\)?(?![\w'])/gi,
    /\\boxed\{\s*(?:\\text\{)?\(?([A-Z])\)?/gi,
    /^\s*\**\(?([A-Z])\)?\**\s*(?:[.:)]|$)/gim,
    /\(([A-Z])\)/g,
    /\b([B-HJ-Z])\b/g,
  ]
  for (const pattern of patterns) {
    const found = [...text.matchAll(pattern)].at(-1)?.[1]
    if (found !== undefined) return found.toUpperCase()
  }
  return undefined
}

const tokens = (text: string): string[] =>
  normalText(text)
    .split(' ')
    .filter((word) => word !== '')

/** F1 of the longest common subsequence of words (ROUGE-L; Lin 2004), in [0, 1]; reads 2,000 words of each. */
export function similarity(a: string, b: string): number {
  const [x, y] = [tokens(a).slice(0, WORDS), tokens(b).slice(0, WORDS)]
  if (x.length === 0 || y.length === 0) return x.length === y.length ? 1 : 0
  let before = new Uint16Array(y.length + 1)
  for (const word of x) {
    const now = new Uint16Array(y.length + 1)
    for (let j = 0; j < y.length; j++) {
      now[j + 1] = word === y[j] ? before[j]! + 1 : Math.max(now[j]!, before[j + 1]!)
    }
    before = now
  }
  return (2 * before[y.length]!) / (x.length + y.length)
}
const WORDS = 2000

/** Whether the words stand in the text, in this order and next to each other. */
const hasWords = (text: string, words: string): boolean =>
  ` ${normalText(text)} `.includes(` ${normalText(words)} `)

type Compare = (answer: string, reference: string) => number
const yes = (holds: boolean): number => (holds ? 1 : 0)

/** Checks against the right answer of each row. */
const BY_REFERENCE: Readonly<Record<string, Compare>> = {
  exact: (answer, reference) => yes(answer.trim() === reference.trim()),
  normalised: (answer, reference) => yes(normalText(answer) === normalText(reference)),
  contains: (answer, reference) => yes(hasWords(answer, reference)),
  numeric: (answer, reference) => yes(sameNumber(numberIn(answer), numberIn(reference))),
  choice: (answer, reference) =>
    yes((choiceIn(answer) ?? '') === (choiceIn(reference) ?? reference.trim().toUpperCase())),
  similarity,
}

/** Names of the checks of `--check`, for help and errors. */
export const CHECK_NAMES = [
  ...Object.keys(BY_REFERENCE),
  'regex=PATTERN',
  'contains=TEXT',
  'json_schema=FILE',
]

/** The checks of `--check` and `--check-command`. @throws option_invalid, file_not_found */
export async function openChecks(
  texts: readonly string[],
  command: string | undefined,
): Promise<AnswerCheck[]> {
  const checks = await Promise.all(texts.map(openCheck))
  return command === undefined ? checks : [...checks, commandCheck(command)]
}

async function openCheck(text: string): Promise<AnswerCheck> {
  const at = text.indexOf('=')
  const [kind, value] = at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
  const refuse = (expected: string, got: string): never => {
    throw new WeirError('option_invalid', { option: '--check', expected, got })
  }
  const ofText = (grade: (answer: string) => boolean): AnswerCheck => ({
    name: text,
    needsReference: false,
    grade: ({ answer }) => yes(grade(answer)),
  })
  if (value === undefined) {
    const compare = Object.hasOwn(BY_REFERENCE, kind) ? BY_REFERENCE[kind] : undefined
    if (!compare) return refuse(`one of ${CHECK_NAMES.join(', ')}`, text)
    return {
      name: text,
      needsReference: true,
      grade: ({ answer, reference }) => compare(answer, reference ?? ''),
    }
  }
  if (value === '') return refuse(`a value after ${kind}=`, text)
  switch (kind) {
    case 'regex': {
      const pattern = attempt(
        () => compilePattern(value),
        (reason) => refuse('an RE2 pattern (no look-around, no back-references)', reason),
      )
      return ofText((answer) => pattern.test(answer))
    }
    case 'contains':
      return ofText((answer) => hasWords(answer, value))
    case 'json_schema': {
      const read = await readFile(value, 'utf8').catch((cause: unknown) => {
        throw new WeirError('file_not_found', { path: value }, { cause })
      })
      const test = attempt(
        () => schemaTest(JSON.parse(read)),
        (reason) => refuse(`a JSON schema (draft 7, without patterns) in ${value}`, reason),
      )
      return ofText((answer) => test(unfenced(answer)))
    }
    default:
      return refuse(`one of ${CHECK_NAMES.join(', ')}`, text)
  }
}

/** An answer that is one block of code, without its fence. */
const unfenced = (text: string): string => /^\s*```\w*\n([\s\S]*?)\n```\s*$/.exec(text)?.[1] ?? text

function attempt<T>(make: () => T, failed: (reason: string) => never): T {
  try {
    return make()
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error))
  }
}

const COMMAND_MS = 60_000

/**
 * A program of the user's: it gets `{prompt, model, answer, reference}` as JSON on standard input, and grades by the number
 * from 0 to 1 that it prints, or, printing nothing, by its exit code (0 is right, 1 is wrong). Anything else ends the run.
 */
function commandCheck(command: string): AnswerCheck {
  const broken = (got: string): WeirError =>
    new WeirError('option_invalid', {
      option: '--check-command',
      expected: 'a command that prints a number from 0 to 1, or ends with 0 or 1',
      got,
    })
  return {
    name: 'command',
    needsReference: false,
    grade: (asked) =>
      new Promise<number>((resolve, reject) => {
        const child = spawn(command, {
          shell: true,
          stdio: 'pipe',
          timeout: COMMAND_MS,
        })
        let out = ''
        child.stdout.on('data', (chunk) => {
          out = `${out}${chunk}`.slice(-1000)
        })
        let complaint = ''
        child.stderr.on('data', (chunk) => {
          complaint = `${complaint}${chunk}`.slice(-500)
        })
        // a command may decide without reading
        child.stdin.on('error', () => {})
        child.once('error', (error) => reject(broken(error.message)))
        child.once('close', (code, signal) => {
          const told = out.trim()
          const value = Number(told)
          const why = complaint.trim() === '' ? '' : `: ${complaint.trim()}`
          if (code === null) reject(broken(`${signal} within ${COMMAND_MS / 1000} s${why}`))
          else if (told === '' && code <= 1) resolve(1 - code)
          else if (told !== '' && code === 0 && value >= 0 && value <= 1) resolve(value)
          else {
            const got = told === '' ? `exit code ${code}` : `${told} (exit code ${code})`
            reject(broken(`${got}${why}`))
          }
        })
        child.stdin.end(JSON.stringify(asked))
      }),
  }
}
