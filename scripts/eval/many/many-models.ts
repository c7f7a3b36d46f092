import { parseArgs } from 'node:util'
import { type Dataset, SPLITS } from '../../../data/dataset/dataset.ts'
import { splitRows } from '../../../data/pair.ts'
import type { EncoderArtifact } from '../../../models/encoders/encoder.ts'
import { pricedCandidates } from '../../../training/candidates.ts'
import { chooseModels, withModels } from '../../../training/choose-models.ts'
import {
  emptyPoints,
  singlePoints,
  stopNumber,
  walkPath,
} from '../../../training/evaluate/frontier/frontier.ts'
import {
  choicesAt,
  policyPath,
  pricePath,
} from '../../../training/evaluate/frontier/policy-path.ts'
import {
  completePrompts,
  type Expectations,
  expectedCosts,
  logTable,
  type ModelTable,
  takeMatrix,
} from '../../../training/evaluate/log/model-table.ts'
import { fitRouter } from '../../../training/fit-router.ts'
import { interruptSignal } from '../../terminal/interrupt.ts'
import { openTerminal, score, table } from '../../terminal/terminal.ts'
import { keptEncoder } from '../encoder-store.ts'
import { dataFolder, list } from '../logs.ts'
import {
  type Choices,
  categoryMeans,
  type ManyRow,
  manyFold,
  manyRows,
  openWeightSet,
} from './rows.ts'

/**
 * `npm run eval:many`: routing among all open-weight models of MMLU-Pro; a request costs active parameters x
 * answer length. K-fold by stem: in each fold heads, answer lengths and encoder are fitted on seven tenths of
 * the other folds (and a tenth that selects), and lambda is set to spend the budget on the other two tenths.
 * `chosen` is in each fold the router that is best on those two at half the best model's cost. No router has
 * the category as a feature; only the category prior gets it.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    folds: { type: 'string', default: '5' },
    seeds: { type: 'string', default: '1,2,3' },
    routers: {
      type: 'string',
      default: 'classifier?l2_max=30&l2_steps=1',
    },
    replicates: { type: 'string', default: '2000' },
  },
})
const folds = Number(options.folds)
const seeds = list(options.seeds).map(Number)
const routers = list(options.routers)
/** Fractions of the best model's cost on the train rows. */
const BUDGETS = [0.25, 0.5, 0.75, 1]
const HALF = BUDGETS.indexOf(0.5)
const CHOSEN = 'chosen'
const PRIOR = '(category prior)'
const ORACLE = '(oracle)'
const terminal = openTerminal()
const signal = interruptSignal()

const set = await openWeightSet()
if (!set) {
  terminal.note(`skipped: ${dataFolder()} does not hold mmlu-pro.jsonl.gz`)
} else {
  const dataset = withModels(set.dataset, set.models)
  const complete = completePrompts(dataset, dataset.models)
  const candidates = pricedCandidates(
    { ...dataset, split: dataset.split.map(() => SPLITS.indexOf('train')) },
    { strong: '', weak: '', prices: set.prices },
  )
  // as logged: independent of the candidates' predicted lengths
  const truth = logTable(dataset, complete, candidates)
  const encoders = await namedEncoders(dataset)
  const names = [...routers, CHOSEN, PRIOR, ORACLE]
  const choices: Choices = new Map(names.map((name) => [name, []]))
  for (const seed of seeds) {
    for (const name of names) {
      choices.get(name)!.push(BUDGETS.map(() => new Int32Array(truth.rows).fill(-1)))
    }
    for (let fold = 0; fold < folds; fold++) {
      await chooseInFold(manyFold(dataset, { fold, folds, seed }), {
        truth,
        encoders,
        seed,
        into: (name, budget) => choices.get(name)!.at(-1)![budget]!,
        note: `seed ${seed}, fold ${fold + 1} of ${folds}`,
      })
    }
    terminal.endProgress()
    terminal.note(shown(rowsOf(choices, truth)))
  }
  const rows = rowsOf(choices, truth)
  const chosen = rows.find(({ router, share }) => router === CHOSEN && share === 0.5)!
  const figures = { mmlu_pro_open_half_cost: chosen.aboveSingle.value }
  if (options.json) terminal.json({ folds, seeds, prompts: truth.rows, rows, figures })
  else {
    terminal.print(`${truth.rows} prompts that all ${truth.models.length} models answered`)
    terminal.print(shown(rows))
  }
}

async function namedEncoders(dataset: Dataset): Promise<ReadonlyMap<string, EncoderArtifact>> {
  const encoders = new Map<string, EncoderArtifact>()
  for (const router of routers) {
    const name = routerOf(router).encoderName.replace('lexical+', '')
    if (name === 'lexical' || encoders.has(name)) continue
    encoders.set(name, await keptEncoder(name, dataset.prompts, terminal.onProgress))
  }
  return encoders
}

/** `family?setting=value&...:encoder`; numeric settings become numbers. */
function routerOf(name: string) {
  const [head = '', encoderName = 'lexical'] = name.split(':')
  const [family = '', query = ''] = head.split('?')
  const settings = [...new URLSearchParams(query)].map(([key, value]) => {
    const number = Number(value)
    return [key, Number.isNaN(number) ? value : number] as const
  })
  return { family, encoderName, hyperparameters: Object.fromEntries(settings) }
}

interface FoldInput {
  readonly truth: ModelTable & { readonly prompts: Int32Array }
  readonly encoders: ReadonlyMap<string, EncoderArtifact>
  readonly seed: number
  readonly into: (router: string, budget: number) => Int32Array
  readonly note: string
}

async function chooseInFold(folded: Dataset, input: FoldInput): Promise<void> {
  const { truth, seed, encoders } = input
  const place = new Map(Array.from(truth.prompts, (prompt, row) => [prompt, row]))
  const rowsIn = (prompts: Int32Array): number[] =>
    Array.from(prompts, (prompt) => place.get(prompt) ?? -1).filter((row) => row >= 0)
  const { strong, weak } = chooseModels(folded, { models: 'all', prices: set!.prices })
  const candidates = pricedCandidates(folded, { strong, weak, prices: set!.prices })
  // on the prompts that all models answered, like the measured ones
  const trained = takeRows(truth, rowsIn(splitRows(folded, 'train')))
  const bestCost = singlePoints(trained)[truth.models.indexOf(strong)]!.cost
  const test = rowsIn(splitRows(folded, 'test'))
  const setting = rowsIn(splitRows(folded, 'calibration'))
  let best = Number.NEGATIVE_INFINITY
  const settle = (name: string, onSetting: Expectations, onTest: Expectations): void => {
    const settled = BUDGETS.map((share) =>
      spend(onSetting, takeRows(truth, setting), onTest, share * bestCost),
    )
    const better = settled[HALF]!.quality > best && name !== PRIOR && name !== ORACLE
    if (better) best = settled[HALF]!.quality
    for (const [budget, { choices }] of settled.entries()) {
      for (const target of better ? [name, CHOSEN] : [name]) {
        test.forEach((row, at) => {
          input.into(target, budget)[row] = choices[at]!
        })
      }
    }
  }
  const texts = (rows: readonly number[]): string[] =>
    rows.map((row) => folded.prompts[truth.prompts[row]!]!)
  for (const [done, name] of routers.entries()) {
    terminal.onProgress({ stage: input.note, done, total: routers.length, note: name })
    const { family, encoderName, hyperparameters } = routerOf(name)
    const artifact = encoders.get(encoderName.replace('lexical+', ''))
    const fitted = await fitRouter(folded, {
      strong,
      weak,
      router: family,
      engine: 'onnx',
      seed,
      threads: 1,
      hyperparameters,
      ...(artifact && { encoder: artifact, besideLexical: encoderName.startsWith('lexical+') }),
      signal,
    })
    const expect = async (rows: readonly number[]): Promise<Expectations> => {
      const { embeddings } = await fitted.encoder.encoder.encode(texts(rows), signal)
      const { quality } = fitted.family.forward(fitted.weights, fitted.pair, embeddings)
      return { quality: quality!, costs: expectedCosts(candidates, texts(rows)) }
    }
    settle(name, await expect(setting), await expect(test))
  }
  const prior = categoryMeans(folded, candidates)
  const promptsOf = (rows: readonly number[]) => rows.map((row) => truth.prompts[row]!)
  settle(PRIOR, prior(promptsOf(setting)), prior(promptsOf(test)))
  const known = (rows: readonly number[]): Expectations => ({
    quality: takeMatrix(truth.scores, truth.models.length, rows),
    costs: takeMatrix(truth.costs, truth.models.length, rows),
  })
  settle(ORACLE, known(setting), known(test))
}

function takeRows(truth: ModelTable, rows: readonly number[]): ModelTable {
  const m = truth.models.length
  return {
    models: truth.models,
    rows: rows.length,
    scores: takeMatrix(truth.scores, m, rows),
    costs: takeMatrix(truth.costs, m, rows),
  }
}

/** The choices on test rows at the lambda that keeps within the budget on the rows that set it. */
function spend(
  onSetting: Expectations,
  setting: ModelTable,
  onTest: Expectations,
  budget: number,
): { quality: number; choices: Int32Array } {
  const m = setting.models.length
  const priced = pricePath(policyPath('best-value', onSetting, m), setting)
  const { points, cost, quality, value } = walkPath(priced, undefined, emptyPoints(priced))
  let stop = 0
  while (stop < points - 1 && cost[stop]! > budget) stop++
  const lambda = stopNumber(value, stop, points)
  return {
    quality: quality[stop]!,
    choices: choicesAt(policyPath('best-value', onTest, m), lambda),
  }
}

function rowsOf(choices: Choices, truth: ModelTable): ManyRow[] {
  return manyRows(choices, truth, singlePoints(truth), BUDGETS, Number(options.replicates))
}

function shown(rows: readonly ManyRow[]): string {
  const range = ({ low, high }: { low: number | null; high: number | null }): string =>
    low === null || high === null ? '' : `[${score(low)}, ${score(high)}]`
  return table([
    [
      'router',
      'budget',
      'cost',
      'quality',
      'by seed',
      'above single',
      '95%',
      'above mixture',
      '95%',
    ],
    ...rows.map((row) => [
      row.router,
      `${row.share} x best`,
      row.cost.toFixed(5),
      score(row.quality),
      row.seeds.map(score).join(' '),
      score(row.aboveSingle.value ?? Number.NaN),
      range(row.aboveSingle),
      score(row.aboveMixture.value ?? Number.NaN),
      range(row.aboveMixture),
    ]),
  ])
}
