import { createHash } from 'node:crypto'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import type { OnProgress } from '../../core/progress.ts'
import type { Asked, Asker } from '../../serving/judging/asker.ts'
import { ModelAsker, type ModelQuestion } from '../../serving/strategies/ask-model.ts'
import { inWords, saidBy } from '../../serving/strategies/chat-answer.ts'
import {
  comparisonIn,
  comparisonQuestion,
  gradeIn,
  gradeQuestion,
} from '../../serving/strategies/judge.ts'
import type { ChatTurn } from '../../serving/upstreams/upstream.ts'
import type { CallJournal, DoneLine, FailedLine } from './calls.ts'
import type { AnswerCheck } from './checks.ts'
import type { Collection, SampleRow } from './collection.ts'

/** A model that grades the answers. */
export interface JudgeSpec {
  readonly model: string
  /** `pairs` compares two answers, in both orders; `single` grades each answer by itself */
  readonly mode: 'pairs' | 'single'
  /** what a good answer is, in the words of the user; the default criteria if absent */
  readonly rubric?: string | undefined
  readonly maxTokens: number
}

/** The name of a judge in labels: its model, what it does, and which rubric it had. */
export function judgeName({ model, mode, rubric }: JudgeSpec): string {
  const hash = rubric === undefined ? '' : `#${shortHash(rubric)}`
  return `${model}${mode === 'single' ? ' (single)' : ''}${hash}`
}

const shortHash = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, 8)

/** The ids of a collection's calls. */
export const answerCall = (row: string, model: string): string => `${row}/answer/${model}`
const tryOf = (id: string, n: number): string => (n === 1 ? id : `${id}/${n}`)
export const compareCall = (row: string, judge: string, first: string, second: string): string =>
  `${row}/compare/${judge}/${first}>${second}`
export const gradeCall = (row: string, judge: string, model: string): string =>
  `${row}/grade/${judge}/${model}`
export const commandCall = (row: string, model: string): string => `${row}/check/command/${model}`

/** How often a judge is asked until its reply can be read. */
export const JUDGE_TRIES = 3
/** Questions that fail one after the other before a run ends: something is wrong with more than these. */
const FAILURES_IN_A_ROW = 10

/** What a judge said: the reply that can be read, of at most `JUDGE_TRIES`. */
export function judged(
  journal: CallJournal,
  id: string,
  read: (reply: string) => number | undefined,
): number | undefined {
  for (let n = 1; n <= JUDGE_TRIES; n++) {
    const line = journal.result(tryOf(id, n))
    if (line?.object !== 'done') return undefined
    const value = read(line.text)
    if (value !== undefined) return value
  }
  return undefined
}

/** The pairs of models that judges and people compare: the first with each of the others. */
export const pairsOf = (models: readonly string[]): (readonly [string, string])[] =>
  models.slice(1).map((other) => [models[0]!, other] as const)

export interface RunOptions {
  readonly asker: Pick<Asker, 'ask' | 'mostUsd'>
  readonly journal: CallJournal
  readonly judges: readonly JudgeSpec[]
  /** the check of `--check-command`, whose results are kept */
  readonly command?: AnswerCheck | undefined
  /** rows worked on at once */
  readonly concurrency: number
  /** asks questions again that were under way when a process was killed, and may have been paid */
  readonly askAgain: boolean
  /** once aborted, nothing new is asked; calls under way are finished */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
  /** rows between two looks at the results */
  readonly batch: number
  /** whether there is enough; gets the number of rows at the start of the sample that are done with */
  readonly enough?: ((rows: number) => Promise<boolean>) | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
}

/** Why a run ended. */
export type Ending = 'done' | 'budget' | 'enough' | 'interrupted'

export interface RunSummary {
  readonly ending: Ending
  /** rows at the start of the sample that were worked on */
  readonly rows: number
  readonly spentUsd: number
}

/**
 * Asks the candidates for each row of the sample, in order, then the judges, until everything is asked, the budget is
 * spent, there is enough, or the signal is aborted. What the journal has is not asked again.
 *
 * @throws upstream_misconfigured, as every further question would fail too; collection_stopped; errors of the disk and of
 * `--check-command`. All calls under way are finished before.
 */
export async function runCollection(
  { sample, settings }: Collection,
  options: RunOptions,
): Promise<RunSummary> {
  const { journal, concurrency, signal, onProgress, batch } = options
  const asking = new ModelAsker()
  let ending: Ending | undefined
  let failure: { readonly error: unknown } | undefined
  let failedInARow = 0
  let next = 0
  let looked = 0
  /** rows done with; the start of the sample up to the first that is not */
  const finished = new Uint8Array(sample.length)
  let prefix = 0
  /** a question was left out because the run ends */
  let cutShort = false
  const halted = (): boolean =>
    ending !== undefined || failure !== undefined || signal?.aborted === true

  /** Makes one call, unless the journal has it or must not repeat it. */
  const made = async (
    id: string,
    model: string,
    ask: (begin: (mostUsd: number) => void) => Promise<Asked>,
  ): Promise<DoneLine | FailedLine | undefined> => {
    const known = journal.result(id)
    if (known && !(known.object === 'failed' && known.again)) return known
    if (journal.isOpen(id) && !options.askAgain) return undefined
    if (halted()) {
      cutShort = true
      return undefined
    }
    const asked = await ask((mostUsd) => journal.begin(id, model, options.now(), mostUsd))
    const line = lineOf(id, asked)
    journal.end(line)
    const { error } = asked
    if (error?.code === 'budget_spent' || error?.code === 'model_over_budget') ending ??= 'budget'
    else if (error?.code === 'upstream_misconfigured') failure ??= { error }
    else if (!error) failedInARow = 0
    else if (++failedInARow >= FAILURES_IN_A_ROW) {
      const parameters = { count: failedInARow, reason: error.message }
      failure ??= { error: new WeirError('collection_stopped', parameters, { cause: error }) }
    }
    return line
  }

  const answer = (row: SampleRow, model: string): Promise<DoneLine | FailedLine | undefined> => {
    const id = answerCall(row.id, model)
    const body = {
      ...definedOnly({ tools: row.tools }),
      max_tokens: settings.max_tokens,
      ...settings.parameters,
      messages: row.messages,
    }
    return made(id, model, (begin) => {
      begin(options.asker.mostUsd({ model, body }) ?? 0)
      return options.asker.ask({ id, model, body })
    })
  }

  /** Asks a judge until its reply can be read. */
  const ask = async (
    id: string,
    judge: JudgeSpec,
    question: Omit<ModelQuestion, 'model' | 'parameters'>,
    read: (reply: string) => number | undefined,
  ): Promise<void> => {
    const { model, maxTokens } = judge
    const asked = { ...question, model, parameters: { temperature: 0, max_tokens: maxTokens } }
    for (let n = 1; n <= JUDGE_TRIES; n++) {
      const its = tryOf(id, n)
      const line = await made(its, model, (begin) => askJudge(asking, options, asked, its, begin))
      if (line?.object !== 'done' || read(line.text) !== undefined) return
    }
  }

  const work = async (row: SampleRow): Promise<void> => {
    const lines = await allOf(settings.models.map((model) => answer(row, model)))
    const answers = new Map<string, string>()
    for (const [i, line] of lines.entries()) {
      if (line?.object === 'done') answers.set(settings.models[i]!, wordsOf(line))
    }
    if (answers.size < settings.models.length) return
    const messages = row.messages as unknown as readonly ChatTurn[]
    const { command } = options
    if (command) {
      for (const [model, text] of answers) {
        const id = commandCall(row.id, model)
        if (journal.result(id)) continue
        if (halted()) {
          cutShort = true
          return
        }
        const { prompt, reference } = row
        const grade = await command.grade({ prompt, model, answer: text, reference })
        journal.end({ object: 'done', id, text: String(grade), cost_usd: 0, ms: 0 })
      }
    }
    const questions = options.judges.flatMap((judge) => {
      const name = judgeName(judge)
      const material = definedOnly({ criteria: judge.rubric })
      if (judge.mode === 'single') {
        return [...answers].map(([model, text]) =>
          ask(
            gradeCall(row.id, name, model),
            judge,
            gradeQuestion(material, messages, text),
            gradeIn,
          ),
        )
      }
      return pairsOf(settings.models).flatMap(([a, b]) =>
        [[a, b] as const, [b, a] as const].map(([first, second]) =>
          ask(
            compareCall(row.id, name, first, second),
            judge,
            comparisonQuestion(material, messages, [answers.get(first)!, answers.get(second)!]),
            comparisonIn,
          ),
        ),
      )
    })
    await allOf(questions)
  }

  const report = (): void =>
    onProgress?.({
      stage: 'collecting',
      done: prefix,
      total: sample.length,
      note: `$${journal.spentUsd.toFixed(4)} spent`,
    })

  const worker = async (): Promise<void> => {
    try {
      await workOn()
    } catch (error) {
      // the others finish their calls and stop
      failure ??= { error }
    }
  }
  const workOn = async (): Promise<void> => {
    while (!halted() && next < sample.length) {
      const at = next++
      const row = sample[at]!
      await work(row)
      if (cutShort) continue
      finished[at] = 1
      while (finished[prefix]) prefix++
      report()
      if (options.enough && prefix >= looked + batch && prefix < sample.length) {
        looked = prefix - (prefix % batch)
        if (await options.enough(looked)) ending ??= 'enough'
      }
    }
  }
  report()
  await Promise.all(Array.from({ length: Math.min(concurrency, sample.length) }, worker))
  if (failure) throw failure.error
  const cut = signal?.aborted === true && prefix < sample.length
  return {
    ending: ending ?? (cut ? 'interrupted' : 'done'),
    rows: prefix,
    spentUsd: journal.spentUsd,
  }
}

/** Like `Promise.all`, but waits for all of them before it rejects: paid calls are recorded while the journal is open. */
async function allOf<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work)
  return Promise.all(work)
}

/** One question to a judge; where its upstream takes no schema, a second one without. */
async function askJudge(
  asking: ModelAsker,
  { asker }: Pick<RunOptions, 'asker'>,
  question: ModelQuestion,
  id: string,
  begin: (mostUsd: number) => void,
): Promise<Asked> {
  let last: Asked | undefined
  let paidUsd = 0
  let sends = 0
  try {
    await asking.ask(
      question,
      async ({ model }, { body }) => {
        if (sends++ === 0) begin(asker.mostUsd({ model, body }) ?? 0)
        last = await asker.ask({ id: sends === 1 ? id : `${id}/plain`, model, body })
        paidUsd += last.paidUsd
        if (!last.answer) throw last.error
        return last.answer
      },
      { signal: new AbortController().signal, attemptMs: JUDGE_MS, abort() {}, end() {} },
    )
  } catch (error) {
    if (!(error instanceof WeirError)) throw error
  }
  return { ...last!, paidUsd }
}

const JUDGE_MS = 600_000

/** What the journal keeps of a call that has ended. */
function lineOf(
  id: string,
  { answer, error, paidUsd, milliseconds, attempts }: Asked,
): DoneLine | FailedLine {
  if (!answer) {
    const { code, message } = error!
    const again = paidUsd === 0 && code !== 'upstream_rejected'
    return { object: 'failed', id, code, reason: message, cost_usd: paidUsd, again }
  }
  const said = saidBy(answer)
  const usage = attempts.findLast(({ outcome }) => outcome === 'answered')?.usage
  return {
    object: 'done',
    id,
    text: said.text,
    ...(said.calls.length > 0 && { calls: inWords({ ...said, text: '' }) }),
    ...definedOnly({
      finish: said.finishReason,
      input_tokens: usage?.inputTokens,
      output_tokens: usage?.outputTokens,
    }),
    cost_usd: paidUsd,
    ms: Math.round(milliseconds),
  }
}

/** An answer as judges and people read it: its text and the tools it calls. */
export const wordsOf = ({ text, calls }: Pick<DoneLine, 'text' | 'calls'>): string =>
  [text, calls ?? ''].filter((part) => part !== '').join('\n')
