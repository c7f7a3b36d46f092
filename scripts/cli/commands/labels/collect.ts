import Type from 'typebox'
import { definedOnly } from '../../../../core/defined.ts'
import type { StopRule } from '../../../collect/collect.ts'
import { count, openTerminal } from '../../../terminal/terminal.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption, seedOption } from '../../log-options.ts'
import {
  type Flags,
  keyValue,
  numberOption,
  oneOf,
  optionTable,
  Switch,
  Text,
  TextByName,
} from '../../options.ts'

const SAMPLE = 'The sample'
const GRADING = 'Grading'
const ASKING = 'Asking'
const Count = Type.Integer({ minimum: 1 })

const OPTIONS = optionTable({
  config: {
    flag: '--config <file>',
    schema: Text,
    required: true,
    help: 'the server’s YAML or JSON file: upstreams, models, prices and budgets of its section gateway',
  },
  models: {
    flag: '--models <names>',
    schema: Type.Array(Text),
    separator: ',',
    help: 'names of gateway.models to compare, the strong one first: big,small; as before where --out has a collection',
  },
  budget: {
    flag: '--budget <usd>',
    schema: Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 }),
    required: true,
    help: 'most US dollars to spend on this folder, over all runs; reserved before each call',
  },
  out: {
    flag: '--out <folder>',
    schema: Text,
    writes: 'folder',
    default: 'collected',
    help: 'folder of the collection; run the command again to go on with it',
  },
  until: {
    flag: '--until <what>',
    schema: Text,
    unset: 'the whole sample',
    help: 'stop early: decided (which model is better), or a number such as .03 (win rate known to so much), by an interval that holds at every look',
  },
  batch: {
    flag: '--batch <number>',
    schema: Count,
    default: 100,
    help: 'prompts between two looks at the results',
  },
  plan: { flag: '--plan', schema: Switch, help: 'print what it would take, and ask nothing' },
  sampleSize: {
    flag: '--sample-size <number>',
    schema: Count,
    unset: 'all prompts',
    help: 'how many of the prompts to ask',
    section: SAMPLE,
  },
  sample: {
    flag: '--sample <rule>',
    schema: oneOf(['uniform', 'stratified', 'active']),
    default: 'uniform',
    help: 'how they are drawn: uniform (all alike), stratified (more of small categories or --clusters) or active (where --router is least sure)',
    section: SAMPLE,
  },
  router: {
    flag: '--router <bundle>',
    schema: Text,
    help: 'for --sample active: the bundle whose win rates say where it is unsure',
    section: SAMPLE,
  },
  category: {
    flag: '--category <column>',
    schema: Text,
    unset: 'category',
    help: 'where rows say what group they belong to, such as metadata.feature',
    section: SAMPLE,
  },
  clusters: {
    flag: '--clusters <number>',
    schema: Type.Integer({ minimum: 2, maximum: 1000 }),
    unset: 'categories',
    help: 'for --sample stratified: group prompts by their words into so many clusters, in place of categories',
    section: SAMPLE,
  },
  query: {
    flag: '--query <sql>',
    schema: Text,
    help: 'take prompts from the rows of a SELECT in DuckDB’s SQL',
    section: SAMPLE,
  },
  seed: { ...seedOption('seed of the sample and of the splits'), section: SAMPLE },
  judge: {
    flag: '--judge <model>',
    schema: Type.Array(Text),
    help: 'a name of gateway.models that compares the answers, blind and in both orders',
    section: GRADING,
  },
  judgeSingle: {
    flag: '--judge-single <model>',
    schema: Type.Array(Text),
    help: 'a judge that grades each answer by itself instead',
    section: GRADING,
  },
  rubric: {
    flag: '--rubric <file>',
    schema: Text,
    unset: 'correct, complete, and to the point',
    help: 'text file that tells the judges what a good answer is',
    section: GRADING,
  },
  judgeMayBeCandidate: {
    flag: '--judge-may-be-candidate',
    schema: Switch,
    help: 'allow a judge that is one of the models compared',
    section: GRADING,
  },
  judgeTokens: {
    flag: '--judge-tokens <number>',
    schema: Count,
    default: 1024,
    help: 'most tokens of a judge’s reply; judges that think need thousands',
    section: GRADING,
  },
  check: {
    flag: '--check <kind>',
    schema: Type.Array(Text),
    help: 'grade without a model: exact, normalised, contains, numeric, choice or similarity to the row’s reference; regex=PATTERN, contains=TEXT, json_schema=FILE',
    section: GRADING,
  },
  checkCommand: {
    flag: '--check-command <command>',
    schema: Text,
    help: 'grade by a program of yours: it gets {prompt, model, answer, reference} on stdin and prints 0 to 1, or ends with 0 or 1',
    section: GRADING,
  },
  reference: {
    flag: '--reference <column>',
    schema: Text,
    unset: 'reference, expected, answer or ground_truth',
    help: 'where rows have the right answer',
    section: GRADING,
  },
  maxTokens: {
    flag: '--max-tokens <number>',
    schema: Count,
    default: 2048,
    help: 'most tokens of an answer',
    section: ASKING,
  },
  parameter: {
    flag: '--parameter <name=value>',
    schema: TextByName,
    help: 'a field of each question to a candidate, as JSON: temperature=0',
    section: ASKING,
  },
  concurrency: {
    flag: '--concurrency <number>',
    schema: Type.Integer({ minimum: 1, maximum: 1000 }),
    default: 8,
    help: 'prompts asked at once',
    section: ASKING,
  },
  askAgain: {
    flag: '--ask-again',
    schema: Switch,
    help: 'ask again what was under way when the machine or the asking process died, which may be paid twice',
    section: ASKING,
  },
  json: jsonOption('the summary'),
})

/** `weir collect <prompts...> --models big,small --config weir.yaml --budget 5` */
export const collectCommand = defineCommand({
  name: 'collect',
  description: 'ask models your prompts, grade the answers, and make a dataset to train on',
  arguments: [
    [
      '[prompts...]',
      'files with a column prompt or messages, in any format of logs, or decision logs with text; none to go on with --out',
    ],
  ],
  options: OPTIONS,
  notes:
    'Models are asked through the upstreams of the configuration: their limits, retries, budgets and prices apply. Run it again after any\ninterruption: what was answered is in the folder and is not asked again.',
  examples: [
    'weir collect prompts.jsonl --models big,small --judge judge --config weir.yaml --budget 5',
    'weir collect questions.csv --models big,small --check numeric --config weir.yaml --budget 2 --plan',
  ],
  run,
})

async function run(prompts: readonly string[], flags: Flags<typeof OPTIONS>): Promise<void> {
  const { readFile } = await import('node:fs/promises')
  const { WeirError } = await import('../../../../core/errors.ts')
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const { readGatewayConfig } = await import('../../serve-config.ts')
  const { collectApart } = await import('../../../collect/process.ts')
  const terminal = openTerminal()
  const { gateway, log } = await readGatewayConfig(flags.config)
  const rubric =
    flags.rubric === undefined
      ? undefined
      : await readFile(flags.rubric, 'utf8').catch((cause: unknown) => {
          throw new WeirError('file_not_found', { path: flags.rubric }, { cause })
        })
  const judge = (mode: 'pairs' | 'single') => (model: string) => ({
    model,
    mode,
    maxTokens: flags.judgeTokens,
    ...definedOnly({ rubric: rubric?.trim() }),
  })
  const { query: sql, checkCommand: command, sampleSize, router, category, reference } = flags
  const { clusters } = flags
  const parameters = Object.fromEntries(flags.parameter.map(parameterOf))
  const summary = await collectApart(
    {
      folder: flags.out,
      gateway,
      ...definedOnly({ log, command, sampleSize, clusters, router, category, reference }),
      ...(sql !== undefined && { query: { sql } }),
      ...(flags.parameter.length > 0 && { parameters }),
      prompts,
      models: flags.models,
      rule: flags.sample,
      seed: flags.seed,
      maxTokens: flags.maxTokens,
      judges: [...flags.judge.map(judge('pairs')), ...flags.judgeSingle.map(judge('single'))],
      judgeMayBeCandidate: flags.judgeMayBeCandidate === true,
      checks: flags.check,
      capUsd: flags.budget,
      concurrency: flags.concurrency,
      batch: flags.batch,
      ...(flags.until !== undefined && { until: stopRule(flags.until) }),
      askAgain: flags.askAgain === true,
      planOnly: flags.plan === true,
    },
    { signal: interruptSignal(), onProgress: terminal.onProgress, onNote: terminal.note },
  )
  terminal.endProgress()
  const { rows, ending, in_doubt: doubt, dataset, folder } = summary
  if (flags.json) {
    terminal.json(summary)
    return
  }
  if (ending === 'planned') return
  const again = `weir collect --config ${flags.config} --out ${folder} --budget`
  const endings = {
    done: 'everything is asked',
    enough: 'there is enough to decide',
    budget: `the budget is spent: go on with ${again} MORE`,
    interrupted: `interrupted: go on with ${again} ${flags.budget}`,
  }
  terminal.print(
    `${count(rows.answered)} of ${count(rows.sample)} prompts answered by all models, $${summary.spent_usd.toFixed(4)} spent; ${endings[ending]}`,
  )
  if (rows.failed > 0) {
    terminal.print(
      `${count(rows.failed)} prompts have a question that failed; their reasons are in ${folder}/calls-*.jsonl ("failed")`,
    )
  }
  if (doubt.calls > 0) {
    terminal.print(
      `${count(doubt.calls)} calls were under way when a process died, and may have been paid (at most $${doubt.most_usd.toFixed(4)} more); --ask-again asks them again`,
    )
  }
  terminal.print(
    dataset === undefined
      ? `Nothing is graded yet. Next: add --judge MODEL or --check KIND to ${again} ${flags.budget}, or weir label ${folder}`
      : `Dataset: ${dataset}. Next: weir grade ${folder}`,
  )
  if (ending === 'interrupted') process.exitCode = 130
}

/** @throws option_invalid */
function stopRule(text: string): StopRule {
  if (text === 'decided') return { decided: true }
  const halfWidth = numberOption('--until', text, { min: 0.001, max: 0.5 })!
  return { halfWidth }
}

/** `name=value`, the value as JSON, or as text where it is none. */
function parameterOf(text: string): readonly [string, unknown] {
  const [name, value] = keyValue('--parameter', text)
  try {
    return [name, JSON.parse(value)]
  } catch {
    return [name, value]
  }
}
