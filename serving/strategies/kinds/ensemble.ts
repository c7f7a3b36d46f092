import Type, { type Static, type TObject } from 'typebox'
import { WeirError } from '../../../core/errors.ts'
import { compilePattern } from '../../../core/pattern.ts'
import type { Strategy, StrategyCall, Target } from '../../gateway/contracts.ts'
import { asAsked, askChecked, askWhole, wantsSeveral } from '../answer-stream.ts'
import { type ModelAsker, type TimeLimit, timeLimit } from '../ask-model.ts'
import { inWords, saidBy, saysNothing, type WholeAnswer } from '../chat-answer.ts'
import { CheckList, checkListFaults, compileChecks } from '../checks.ts'
import { Judge, JudgeSettings } from '../judge.ts'
import { answerKey, tally } from '../normal-answer.ts'
import {
  closed,
  fits,
  Milliseconds,
  patternFault,
  perSettings,
  Samples,
  type SettingsFinder,
  type StrategyKind,
  Temperature,
} from '../settings.ts'

/**
 * Makes one answer of several. @throws UpstreamError, answers_too_few, answer_unchecked, the signal's reason
 */
type Combine = (call: StrategyCall) => Promise<WholeAnswer>

/** One way to combine the answers: an entry of `MODES`. */
interface EnsembleMode<S extends TObject> {
  readonly schema: S
  /** Reports faults in settings that fit the schema. */
  faults(settings: Static<S>, find: SettingsFinder): void
  make(settings: Static<S>, asker: ModelAsker): Combine
}

const mode = <S extends TObject>(row: EnsembleMode<S>): EnsembleMode<S> => row

/** the fields that every mode has */
const common = {
  kind: Type.Literal('ensemble'),
  /** per model */
  samples: Type.Optional(Samples),
  temperature: Type.Optional(Temperature),
  /** members that have not answered by then count as failed */
  timeout_ms: Type.Optional(Milliseconds),
}
interface MemberSettings {
  readonly samples?: number
  readonly temperature?: number
  readonly timeout_ms?: number
}
const quorum = Type.Optional(Type.Integer({ minimum: 1 }))

/** Time kept for returning the answer. */
const TIME_SHARE = 0.95

const Majority = Type.Object(
  {
    mode: Type.Literal('majority'),
    ...common,
    /** as in `self_consistency` */
    pattern: Type.Optional(Type.String({ minLength: 1 })),
    /** fewest answers to decide on (default half of the members) */
    quorum,
  },
  closed,
)

/**
 * The answer that most members gave; in a tie, the one of the earlier model. Members that could no longer
 * change it are cancelled.
 */
function majority(settings: Static<typeof Majority>): Combine {
  const pattern = settings.pattern === undefined ? undefined : compilePattern(settings.pattern)
  const parameters = memberParameters(settings)
  const count = (answers: readonly (WholeAnswer | undefined)[]) =>
    tally(answers.map((answer) => answer && answerKey(saidBy(answer), pattern)))
  return async (call: StrategyCall) => {
    const members = membersOf(call.plan.targets, settings)
    const more = Math.floor(members.length / 2) + 1
    const gathered = await gather(call, members, settings, TIME_SHARE, {
      ask: (target, limit) => askWhole(call, target, parameters, limit),
      enough: (answers) => count(answers).votes >= more,
    })
    const answers = quorumOf(gathered, settings.quorum ?? Math.ceil(members.length / 2))
    const { winner, votes } = count(gathered.answers)
    call.trail.notes.set('agreement', `${votes}/${members.length}`)
    // no answer has a vote: return the first model's
    return gathered.answers[winner] ?? answers[0]!
  }
}

const BestOf = Type.Object(
  {
    mode: Type.Literal('best_of'),
    ...common,
    judge: JudgeSettings,
    /** default 1 */
    quorum,
  },
  closed,
)

/** Share of the remaining time for the members; the rest is for the judge. */
const MEMBERS_SHARE = 0.6
const JUDGE_SHARE = 0.9

/** The answer that a judge picks, if there are several; the first model's if the judge does not answer. */
function bestOf(settings: Static<typeof BestOf>, asker: ModelAsker): Combine {
  const judge = new Judge(settings.judge, asker)
  const parameters = memberParameters(settings)
  return async (call) => {
    const { notes } = call.trail
    const members = membersOf(call.plan.targets, settings)
    const gathered = await gather(call, members, settings, MEMBERS_SHARE, {
      ask: (target, limit) => askWhole(call, target, parameters, limit),
      enough: () => false,
    })
    const answers = quorumOf(gathered, settings.quorum ?? 1)
    const saying = answers.filter((answer) => !saysNothing(saidBy(answer)))
    const first = saying[0] ?? answers[0]!
    notes.set('answers', `${answers.length}/${members.length}`)
    const said = saying.map(saidBy)
    if (new Set(said.map((one) => answerKey(one, undefined))).size < 2) {
      notes.set('judge', 'not_needed')
      return first
    }
    const limit = timeLimit(call.signal, JUDGE_SHARE * call.remainingMs())
    try {
      const verdict = await judge.pick(said.map(inWords), call, limit.signal)
      notes.set('judge', 'silence' in verdict ? verdict.silence : 'picked')
      return 'silence' in verdict ? first : saying[verdict.value]!
    } catch (error) {
      if (call.signal.aborted || !limit.signal.aborted) throw error
      notes.set('judge', 'judge_failed')
      return first
    } finally {
      limit.end()
    }
  }
}

const FirstGood = Type.Object(
  {
    mode: Type.Literal('first_good'),
    ...common,
    checks: CheckList,
    /** if none passes, return the first model's answer (default true) */
    best_so_far: Type.Optional(Type.Boolean()),
  },
  closed,
)

/** The first answer that passes all checks; the others are cancelled. If none does, the first model's. */
function firstGood(settings: Static<typeof FirstGood>, asker: ModelAsker): Combine {
  const checks = compileChecks(settings.checks, asker)
  const parameters = memberParameters(settings)
  return async (call) => {
    const members = membersOf(call.plan.targets, settings)
    const gathered = await gather(call, members, settings, TIME_SHARE, {
      ask: (target, limit) => askChecked(call, target, checks, parameters, limit),
      enough: (tried) => tried.some((one) => one?.passed),
    })
    const tried = quorumOf(gathered, 1)
    const good = tried.find(({ passed }) => passed)
    call.trail.notes.set('ended', good ? 'passed' : 'none_passed')
    if (!good && settings.best_so_far === false) {
      const failed = call.trail.checks.filter(({ passed }) => !passed)
      const names = new Set(failed.map(({ check }) => check))
      throw new WeirError('answer_unchecked', { checks: [...names] })
    }
    return (good ?? tried[0]!).answer
  }
}

const MODES = {
  /** the answer that most of them gave */
  majority: mode({
    schema: Majority,
    faults: ({ pattern }, find) => patternFault(['pattern'], pattern, find),
    make: majority,
  }),
  /** the answer that a judge picks; the first model's if it picks none */
  best_of: mode({
    schema: BestOf,
    faults: ({ judge }, find) => find.model(['judge', 'model'], judge.model),
    make: bestOf,
  }),
  /** the first answer that passes all checks; the others are cancelled */
  first_good: mode({
    schema: FirstGood,
    faults: ({ checks }, find) => checkListFaults(checks, find),
    make: firstGood,
  }),
}
export type EnsembleSettings = {
  [M in keyof typeof MODES]: Static<(typeof MODES)[M]['schema']>
}[keyof typeof MODES]

const modeOf = (name: unknown): EnsembleMode<TObject> | undefined =>
  typeof name === 'string' && Object.hasOwn(MODES, name)
    ? (MODES[name as keyof typeof MODES] as unknown as EnsembleMode<TObject>)
    : undefined

/** Asks several models, or one several times, at once; the mode combines their answers. */
export const ensemble: StrategyKind = {
  kind: 'ensemble',
  check(settings, find) {
    const row = modeOf(settings.mode)
    if (!row) {
      const expected = `one of ${Object.keys(MODES).join(', ')}`
      find.fault(['mode'], expected, String(settings.mode ?? 'nothing'))
    } else if (fits(row.schema, settings, [], find)) {
      row.faults(settings, find)
    }
  },
  create: (asker) =>
    createEnsemble(perSettings((settings) => modeOf(settings.mode)!.make(settings, asker))),
}

function createEnsemble(compile: (settings: EnsembleSettings) => Combine): Strategy {
  return {
    kind: 'ensemble',
    async run(call) {
      const settings = call.plan.strategy.settings as EnsembleSettings
      const { targets } = call.plan
      const { notes } = call.trail
      notes.set('mode', settings.mode)
      if (wantsSeveral(call)) {
        notes.set('ended', 'several_choices')
        return call.sendFirst(targets, { passes: true })
      }
      // a single answer is neither voted on nor compared, and may stream
      if (settings.mode !== 'first_good' && membersOf(targets, settings).length === 1) {
        return call.sendFirst(targets, { passes: true })
      }
      return asAsked(await compile(settings)(call), call.request.body)
    },
  }
}

/** The members' results in the order of the targets, one per sample. */
interface Gathered<T> {
  /** undefined if it failed, was late, or was cancelled */
  readonly answers: readonly (T | undefined)[]
  /** the error of the first that failed without being cancelled */
  readonly failure: WeirError | undefined
}

/** The samples in order of target, so that those of earlier targets come first. */
const membersOf = (
  targets: readonly Target[],
  { samples = 1 }: MemberSettings,
): readonly Target[] => targets.flatMap((target) => new Array<Target>(samples).fill(target))

/** The changes of a member's body to the request's. */
const memberParameters = ({ temperature }: MemberSettings): Record<string, unknown> =>
  temperature === undefined ? {} : { temperature }

interface GatherOptions<T> {
  ask(target: Target, limit: TimeLimit): Promise<T>
  /** whether the answers so far decide; called once for each answer that comes */
  enough(answers: readonly (T | undefined)[]): boolean
}

/**
 * Asks all members at once, until all have answered, `enough` returns true, or their time is up; then cancels
 * the rest.
 *
 * @param shareOfTime share of the time left to the deadline; the rest is for the following step
 * @throws if the request itself has ended, or on a bug
 */
async function gather<T>(
  call: StrategyCall,
  members: readonly Target[],
  { timeout_ms: timeout = Number.POSITIVE_INFINITY }: MemberSettings,
  shareOfTime: number,
  { ask, enough }: GatherOptions<T>,
): Promise<Gathered<T>> {
  const limit = timeLimit(call.signal, Math.min(timeout, shareOfTime * call.remainingMs()))
  const answers = new Array<T | undefined>(members.length).fill(undefined)
  let failure: WeirError | undefined
  let bug: unknown
  let decided = false
  const running = members.map(async (target, i) => {
    try {
      const answer = await ask(target, limit)
      // answers after the decision change nothing
      if (decided) return
      answers[i] = answer
      decided = enough(answers)
      if (decided) limit.abort()
    } catch (error) {
      if (!(error instanceof WeirError)) bug ??= error
      else if (!limit.signal.aborted) failure ??= error
    }
  })
  await Promise.all(running)
  limit.end()
  if (bug !== undefined) throw bug
  if (call.signal.aborted) throw call.signal.reason
  return { answers, failure }
}

/** The answers. @throws the failure if there is none, answers_too_few if there are too few */
function quorumOf<T>({ answers, failure }: Gathered<T>, quorum: number): T[] {
  const there = answers.filter((answer) => answer !== undefined)
  if (there.length === 0 && failure) throw failure
  const expected = Math.min(quorum, answers.length)
  if (there.length >= Math.max(1, expected)) return there
  throw new WeirError(
    'answers_too_few',
    { expected: Math.max(1, expected), members: answers.length, got: there.length },
    { cause: failure },
  )
}
