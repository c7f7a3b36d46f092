import { Compile } from 'typebox/schema'
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
import { Judge } from './judge.ts'
import { answerKey, tally } from './normal-answer.ts'
import type { CheckSettings } from './settings.ts'

/** An answer that is looked at, and how to ask for more. */
interface Checked {
  readonly answer: WholeAnswer
  readonly said: Said
  readonly target: Target
  /** as the answer was asked for */
  readonly body: PassedBody
  readonly call: StrategyCall
  /** of the answer and its checks together */
  readonly limit: TimeLimit
}

export interface CheckResult {
  /** in [0, 1]; null where it could not be taken */
  readonly score: number | null
  readonly passed: boolean
  /** why there is no score, in a word */
  readonly reason?: string
  /** an answer to go on with instead: the majority's */
  readonly instead?: WholeAnswer
}

/** One way to tell whether an answer will do. */
export interface Check {
  readonly name: string
  /** models whose answers it is for; all, where absent */
  readonly models: readonly string[] | undefined
  /** least score that passes; undefined where it only says yes or no */
  readonly threshold: number | undefined
  /** what the body must ask for, so that the answer can be checked */
  readonly asks?: Readonly<Record<string, unknown>>
  /** @throws where the signal is aborted */
  check(checked: Checked): CheckResult | Promise<CheckResult>
}

const yesOrNo = (passed: boolean): CheckResult => ({ score: passed ? 1 : 0, passed })

type ConsistencySettings = Extract<CheckSettings, { kind: 'self_consistency' }>
const TEMPERATURE = 0.7

/**
 * Self-consistency (Wang et al. 2022, arXiv 2203.11171): the model is asked again, and the score is the
 * share of the samples that the largest group of like answers has. The answer that is there is the first
 * sample, so it is drawn at the same temperature; a sample that failed agrees with nobody.
 */
function consistencyCheck(settings: ConsistencySettings): Pick<Check, 'check' | 'asks'> {
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

type JudgeSettings = Extract<CheckSettings, { kind: 'judge' }>

/** Another model's grade of the answer. A judge that is silent decides as `otherwise` says. */
function judgeCheck(settings: JudgeSettings, asker: ModelAsker): Pick<Check, 'check'> {
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

type LogprobSettings = Extract<CheckSettings, { kind: 'logprob' }>

/**
 * How likely the model held its own words: exp(mean log p), the geometric mean of its tokens'
 * probabilities (the inverse of perplexity), or exp(min log p), the least of them. Upstreams tell none for
 * calls of tools.
 */
function logprobCheck(settings: LogprobSettings): Pick<Check, 'check' | 'asks'> {
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

type Of<K extends CheckSettings['kind']> = Extract<CheckSettings, { kind: K }>
type TextCheck = Pick<Check, 'check'>

/** Looks at text. An answer that calls tools instead of saying anything is judged by no word it did not say. */
const ofText = (good: (text: string, said: Said) => boolean): TextCheck => ({
  check: ({ said }) =>
    yesOrNo((said.calls.length > 0 && said.text === '') || good(said.text, said)),
})

function regexCheck({ pattern, found = true }: Of<'regex'>): TextCheck {
  const compiled = compilePattern(pattern)
  return ofText((text) => compiled.test(text) === found)
}

/** Characters of the answer's text, the white space around it left out. */
function lengthCheck({ min = 0, max = Number.POSITIVE_INFINITY }: Of<'length'>): TextCheck {
  return ofText((text) => {
    const { length } = text.trim()
    return length >= min && length <= max
  })
}

/** The whole text must be JSON: what a program reads has no words around it. */
function schemaCheck({ schema }: Of<'json_schema'>): TextCheck {
  const compiled = Compile(schema)
  return ofText((text) => {
    try {
      return compiled.Check(JSON.parse(text))
    } catch {
      return false
    }
  })
}

const ENDED_WELL = ['stop', 'tool_calls', 'function_call']

function finishCheck({ allowed = ENDED_WELL }: Of<'finish_reason'>): TextCheck {
  return { check: ({ said }) => yesOrNo(allowed.includes(said.finishReason ?? '')) }
}

/** Checks at work. @throws Error: a pattern or schema that is none */
export function compileChecks(settings: readonly CheckSettings[], asker: ModelAsker): Check[] {
  return settings.map((one) => ({
    name: one.name ?? one.kind,
    models: one.models,
    threshold: 'threshold' in one ? one.threshold : undefined,
    ...compiled(one, asker),
  }))
}

function compiled(one: CheckSettings, asker: ModelAsker): Pick<Check, 'check' | 'asks'> {
  switch (one.kind) {
    case 'logprob':
      return logprobCheck(one)
    case 'self_consistency':
      return consistencyCheck(one)
    case 'json_schema':
      return schemaCheck(one)
    case 'regex':
      return regexCheck(one)
    case 'judge':
      return judgeCheck(one, asker)
    case 'length':
      return lengthCheck(one)
    case 'finish_reason':
      return finishCheck(one)
  }
}

export interface Examination {
  readonly target: Target
  readonly body: PassedBody
  readonly call: StrategyCall
  readonly limit: TimeLimit
}

export interface Examined {
  readonly passed: boolean
  /** the one to go on with: a vote may have put another in the first one's place */
  readonly answer: WholeAnswer
}

/** The checks that are for answers of a model. */
export const checksFor = (checks: readonly Check[], { model }: Target): Check[] =>
  checks.filter(({ models }) => !models || models.includes(model))

/** Runs checks in their order, up to the first that fails. An answer that says nothing passes none. */
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
      // what came before was said of another answer
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
