import Type, { type Static, type TObject } from 'typebox'
import { Compile as CompileSchema, Meta } from 'typebox/schema'
import { WeirError } from '../../core/errors.ts'
import { compilePattern } from '../../core/pattern.ts'
import type { StrategyCall, Target } from '../gateway/contracts.ts'

import type { PassedBody } from '../upstreams/upstream.ts'
import type { ModelAsker, TimeLimit } from './ask-model.ts'
import {
  inWords,
  type Said,
  saidBy,
  saysNothing,
  type WholeAnswer,
  wholeOf,
} from './chat-answer.ts'
import { Judge, JudgeSettings } from './judge.ts'
import { answerKey, tally } from './normal-answer.ts'
import {
  closed,
  type Field,
  fits,
  ModelName,
  patternFault,
  type SettingsFinder,
  schemaFault,
  Temperature,
} from './settings.ts'

/** An answer to check, and how to ask for more. */
interface Checked {
  readonly answer: WholeAnswer
  readonly said: Said
  readonly target: Target
  /** as in the request for the answer */
  readonly body: PassedBody
  readonly call: StrategyCall
  /** for the answer and its checks together */
  readonly limit: TimeLimit
}

export interface CheckResult {
  /** in [0, 1]; null if there is no score */
  readonly score: number | null
  readonly passed: boolean
  /** why there is no score, in one word */
  readonly reason?: string
  /** an answer to continue with instead: the majority's */
  readonly instead?: WholeAnswer
}

/** One way to tell whether an answer is good enough. */
export interface Check {
  readonly name: string
  /** models whose answers it checks; all if absent */
  readonly models: readonly string[] | undefined
  /** lowest score that passes; undefined if it only passes or fails */
  readonly threshold: number | undefined
  /** what the body must request so that the answer can be checked */
  readonly asks?: Readonly<Record<string, unknown>>
  /** @throws if the signal is aborted */
  check(checked: Checked): CheckResult | Promise<CheckResult>
}

const Share = Type.Number({ minimum: 0, maximum: 1 })
/** the fields that every check has */
const common = {
  /** used in headers and logs instead of the kind */
  name: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' })),
  /** only answers of these models; of all models if absent */
  models: Type.Optional(Type.Array(ModelName, { minItems: 1 })),
}
/** the assumed result if the check cannot be made: no log-probabilities came, the judge did not answer */
const otherwise = Type.Optional(Type.Union([Type.Literal('fail'), Type.Literal('pass')]))

const yesOrNo = (passed: boolean): CheckResult => ({ score: passed ? 1 : 0, passed })

const SelfConsistency = Type.Object(
  {
    kind: Type.Literal('self_consistency'),
    ...common,
    samples: Type.Integer({ minimum: 2, maximum: 32 }),
    temperature: Type.Optional(Temperature),
    /** RE2: answers are compared by its first group, or by its whole match; by the whole answer if absent */
    pattern: Type.Optional(Type.String({ minLength: 1 })),
    threshold: Share,
  },
  closed,
)
const TEMPERATURE = 0.7

/**
 * Self-consistency (Wang et al. 2022, arXiv 2203.11171): the model is asked again, and the score is the share
 * of the samples in the largest group of equal answers. The given answer is the first sample, so samples are
 * drawn at the same temperature; a sample that failed agrees with none.
 */
function consistencyCheck(settings: Static<typeof SelfConsistency>): Pick<Check, 'check' | 'asks'> {
  const { samples, threshold, temperature = TEMPERATURE } = settings
  const pattern = settings.pattern === undefined ? undefined : compilePattern(settings.pattern)
  return {
    asks: { temperature },
    async check(checked) {
      const others = await Promise.all(Array.from({ length: samples - 1 }, () => oneMore(checked)))
      const answers = [checked.answer, ...others]
      const { winner, votes } = tally(
        answers.map((answer) => answer && answerKey(saidBy(answer), pattern)),
      )
      const score = votes / samples
      const instead = winner > 0 ? answers[winner] : undefined
      return { score, passed: score >= threshold, ...(instead ? { instead } : {}) }
    },
  }
}

async function oneMore({ target, body, call, limit }: Checked): Promise<WholeAnswer | undefined> {
  try {
    const { signal, attemptMs: withinMs } = limit
    return wholeOf(await call.send(target, { body, signal, withinMs }))
  } catch (error) {
    if (limit.signal.aborted || !(error instanceof WeirError)) throw error
    return undefined
  }
}

const JudgeCheck = Type.Object(
  { kind: Type.Literal('judge'), ...common, judge: JudgeSettings, threshold: Share, otherwise },
  closed,
)

/** Another model's grade of the answer. If the judge does not answer, `otherwise` decides. */
function judgeCheck(settings: Static<typeof JudgeCheck>, asker: ModelAsker): Pick<Check, 'check'> {
  const { threshold, otherwise = 'fail' } = settings
  const judge = new Judge(settings.judge, asker)
  return {
    async check({ said, call, limit }) {
      const verdict = await judge.grade(inWords(said), call, limit.signal)
      if ('silence' in verdict) {
        return { score: null, passed: otherwise === 'pass', reason: verdict.silence }
      }
      return { score: verdict.value, passed: verdict.value >= threshold }
    },
  }
}

const Logprob = Type.Object(
  {
    kind: Type.Literal('logprob'),
    ...common,
    measure: Type.Optional(Type.Union([Type.Literal('mean'), Type.Literal('min')])),
    threshold: Share,
    otherwise,
  },
  closed,
)

/**
 * How likely the model found its text: exp(mean log p), the geometric mean of its tokens' probabilities (the
 * inverse of perplexity), or exp(min log p), the lowest of them. Upstreams report none for tool calls.
 */
function logprobCheck(settings: Static<typeof Logprob>): Pick<Check, 'check' | 'asks'> {
  const { threshold, measure = 'mean', otherwise = 'fail' } = settings
  return {
    asks: { logprobs: true },
    check({ said }) {
      const { logprobs } = said
      if (!logprobs) return { score: null, passed: otherwise === 'pass', reason: 'no_logprobs' }
      const score = measure === 'min' ? leastProbability(logprobs) : geometricMean(logprobs)
      return { score, passed: score >= threshold }
    },
  }
}

export const geometricMean = (logprobs: readonly number[]): number =>
  Math.min(1, Math.exp(logprobs.reduce((sum, value) => sum + value, 0) / logprobs.length))

export const leastProbability = (logprobs: readonly number[]): number =>
  Math.min(1, Math.exp(logprobs.reduce((least, value) => Math.min(least, value), 0)))

type TextCheck = Pick<Check, 'check'>

/** Checks the text. An answer that calls tools and has no text is not judged by its text. */
const ofText = (good: (text: string, said: Said) => boolean): TextCheck => ({
  check: ({ said }) =>
    yesOrNo((said.calls.length > 0 && said.text === '') || good(said.text, said)),
})

const Regex = Type.Object(
  {
    kind: Type.Literal('regex'),
    ...common,
    pattern: Type.String({ minLength: 1 }),
    /** whether it must be found in the answer, or must not (default true) */
    found: Type.Optional(Type.Boolean()),
  },
  closed,
)

function regexCheck({ pattern, found = true }: Static<typeof Regex>): TextCheck {
  const compiled = compilePattern(pattern)
  return ofText((text) => compiled.test(text) === found)
}

const Length = Type.Object(
  {
    kind: Type.Literal('length'),
    ...common,
    min: Type.Optional(Type.Integer({ minimum: 0 })),
    max: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  closed,
)

/** Counts the characters of the answer's text, without surrounding white space. */
function lengthCheck({
  min = 0,
  max = Number.POSITIVE_INFINITY,
}: Static<typeof Length>): TextCheck {
  return ofText((text) => {
    const { length } = text.trim()
    return length >= min && length <= max
  })
}

const JsonSchema = Type.Object(
  {
    kind: Type.Literal('json_schema'),
    ...common,
    /** draft 7, without patterns */
    schema: Type.Record(Type.String(), Type.Unknown()),
  },
  closed,
)

/** The whole text must be JSON that fits the schema: programs that read it expect no text around it. */
const schemaCheck = ({ schema }: Static<typeof JsonSchema>): TextCheck =>
  ofText(compiledTest(schema))

function compiledTest(schema: object): (text: string) => boolean {
  const compiled = CompileSchema(schema)
  return (text) => {
    try {
      return compiled.Check(JSON.parse(text))
    } catch {
      return false
    }
  }
}

/**
 * Whether a text is JSON that fits a schema (draft 7).
 *
 * @throws config_invalid if it is no such schema, or has patterns, which do not run in linear time
 */
export function schemaTest(schema: unknown): (text: string) => boolean {
  const where = 'the schema'
  if (typeof schema !== 'object' || schema === null) {
    throw new WeirError('config_invalid', { where, expected: 'an object', got: String(schema) })
  }
  schemaFaults(schema, [], {
    fault(at, expected, got) {
      throw new WeirError('config_invalid', { where: [where, ...at].join('.'), expected, got })
    },
    model: () => {},
  })
  return compiledTest(schema)
}

const FinishReason = Type.Object(
  {
    kind: Type.Literal('finish_reason'),
    ...common,
    /** default `stop`, `tool_calls` and `function_call` */
    allowed: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })),
  },
  closed,
)

const ENDED_WELL = ['stop', 'tool_calls', 'function_call']

function finishCheck({ allowed = ENDED_WELL }: Static<typeof FinishReason>): TextCheck {
  return { check: ({ said }) => yesOrNo(allowed.includes(said.finishReason ?? '')) }
}

const DRAFT_7 = 'http://json-schema.org/draft-07/schema#'
/** Their patterns are JavaScript's, which do not run in linear time. */
const SLOW = ['pattern', 'patternProperties']

function schemaFaults(schema: object, at: Field, find: SettingsFinder): void {
  const meta = CompileSchema(Meta[DRAFT_7])
  const [fine, errors] = meta.Errors(schema)
  if (!fine) schemaFault(errors, schema, at, find)
  const slow = SLOW.find((keyword) => hasKey(schema, keyword))
  if (slow) find.fault(at, 'no patterns (a regex check searches in linear time)', slow)
}

/** A property of that name counts as well: refusing a valid schema is the safer error. */
const hasKey = (value: unknown, key: string): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (Object.hasOwn(value, key) || Object.values(value).some((its) => hasKey(its, key)))

type Making = Pick<Check, 'check' | 'asks'>

/** One kind of check. */
interface CheckKind<S extends TObject> {
  /** if it has a threshold, calibration can set it */
  readonly schema: S
  /** Reports faults in settings that fit the schema. */
  faults?(settings: Static<S>, at: Field, find: SettingsFinder): void
  make(settings: Static<S>, asker: ModelAsker): Making
}

const kind = <S extends TObject>(row: CheckKind<S>): CheckKind<S> => row

const CHECKS = {
  logprob: kind({ schema: Logprob, make: logprobCheck }),
  self_consistency: kind({
    schema: SelfConsistency,
    faults: ({ pattern }, at, find) => patternFault([...at, 'pattern'], pattern, find),
    make: consistencyCheck,
  }),
  json_schema: kind({
    schema: JsonSchema,
    faults: ({ schema }, at, find) => schemaFaults(schema, [...at, 'schema'], find),
    make: schemaCheck,
  }),
  regex: kind({
    schema: Regex,
    faults: ({ pattern }, at, find) => patternFault([...at, 'pattern'], pattern, find),
    make: regexCheck,
  }),
  judge: kind({
    schema: JudgeCheck,
    faults: ({ judge }, at, find) => find.model([...at, 'judge', 'model'], judge.model),
    make: judgeCheck,
  }),
  length: kind({
    schema: Length,
    faults({ min, max }, at, find) {
      if (min === undefined && max === undefined) find.fault(at, 'min, max or both', 'neither')
    },
    make: lengthCheck,
  }),
  finish_reason: kind({ schema: FinishReason, make: finishCheck }),
}
export type CheckSettings = {
  [K in keyof typeof CHECKS]: Static<(typeof CHECKS)[K]['schema']>
}[keyof typeof CHECKS]

/** A list of checks in settings. `checkListFaults` reports the faults of each, by its kind. */
export const CheckList = Type.Array(
  Type.Unsafe<CheckSettings>(Type.Object({ kind: Type.String() })),
  { minItems: 1 },
)

const kindOf = ({ kind: name }: CheckSettings): CheckKind<TObject> | undefined =>
  Object.hasOwn(CHECKS, name) ? (CHECKS[name] as unknown as CheckKind<TObject>) : undefined

/** Reports the faults in the `checks` of a strategy, field by field. */
export function checkListFaults(checks: readonly CheckSettings[], find: SettingsFinder): void {
  const names = checks.map(({ name, kind }) => name ?? kind)
  for (const [i, settings] of checks.entries()) {
    const at = ['checks', i]
    const row = kindOf(settings)
    if (!row) {
      find.fault([...at, 'kind'], `one of ${Object.keys(CHECKS).join(', ')}`, settings.kind)
      continue
    }
    if (!fits(row.schema, settings, at, find)) continue
    // headers, logs and calibration identify checks by their names
    const name = names[i]!
    if (names.indexOf(name) < i) find.fault([...at, 'name'], 'a name of its own', name)
    for (const [j, model] of (settings.models ?? []).entries()) {
      find.model([...at, 'models', j], model)
    }
    row.faults?.(settings, at, find)
  }
}

/** Creates checks that are ready to run. @param settings without faults */
export function compileChecks(settings: readonly CheckSettings[], asker: ModelAsker): Check[] {
  return settings.map((one) => ({
    name: one.name ?? one.kind,
    models: one.models,
    threshold: 'threshold' in one ? one.threshold : undefined,
    ...kindOf(one)!.make(one, asker),
  }))
}

export interface Examination {
  readonly target: Target
  readonly body: PassedBody
  readonly call: StrategyCall
  readonly limit: TimeLimit
}

export interface Examined {
  readonly passed: boolean
  /** the answer to continue with: a vote may have replaced the first one */
  readonly answer: WholeAnswer
}

/** The checks that apply to a model's answers. */
export const checksFor = (checks: readonly Check[], { model }: Target): Check[] =>
  checks.filter(({ models }) => !models || models.includes(model))

/** Runs checks in order, up to the first that fails. An empty answer passes none. */
export async function runChecks(
  first: WholeAnswer,
  checks: readonly Check[],
  { target, body, call, limit }: Examination,
): Promise<Examined> {
  const { trail } = call
  const { model } = target
  let answer = first
  if (saysNothing(saidBy(answer))) {
    trail.checks.push({ check: 'empty', model, score: 0, passed: false })
    return { passed: false, answer }
  }
  for (const [i, check] of checks.entries()) {
    const { name, threshold } = check
    const result = await check.check({
      answer,
      said: saidBy(answer),
      target,
      body,
      call,
      limit,
    })
    const { score, passed, instead, reason = 'none' } = result
    const stated = threshold === undefined ? {} : { threshold }
    trail.checks.push({ check: name, model, score, ...stated, passed })
    trail.notes.set(name, score === null ? reason : Number(score.toFixed(4)))
    if (!passed) return { passed, answer: instead ?? answer }
    if (instead) {
      answer = instead
      // earlier results were about another answer
      const again = checks.slice(0, i).filter((before) => before.asks?.temperature === undefined)
      if (!(await passesAll(answer, again, { target, body, call, limit }))) {
        trail.notes.set(name, 'majority_failed')
        return { passed: false, answer }
      }
    }
  }
  return { passed: true, answer }
}

async function passesAll(
  answer: WholeAnswer,
  checks: readonly Check[],
  examination: Examination,
): Promise<boolean> {
  const said = saidBy(answer)
  for (const check of checks) {
    if (!(await check.check({ answer, said, ...examination })).passed) return false
  }
  return true
}
