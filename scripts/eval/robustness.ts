import { parseArgs } from 'node:util'
import { createRandom, deriveSeed } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { pairLabels } from '../../data/pair.ts'
import { promptReader, RECIPES, type Recipe } from '../../models/reading/recipe.ts'
import { readDataset } from '../../training/choose-recipe.ts'
import { apgr, costQualityCurve } from '../../training/evaluate/metrics/curve.ts'
import { sortScores } from '../../training/evaluate/metrics/score-order.ts'
import {
  measureRobustness,
  type RobustnessReport,
} from '../../training/evaluate/robustness/robustness.ts'
import { fitRouter } from '../../training/fit-router.ts'
import { interruptSignal } from '../terminal/interrupt.ts'
import { openTerminal, percent, score, table } from '../terminal/terminal.ts'
import { findLogs, list, MMLU } from './logs.ts'
import { foldOf, HELD_OUT, openSet } from './router-sets.ts'

/**
 * `npm run eval:robustness`: what changes of a prompt, pasted text and universal suffixes do to the decisions of each
 * family, on MMLU. A router is fitted on four of five folds by stem, its threshold sends 40% of the held-out prompts
 * strong, and suffixes are searched against this router itself with `--candidates` suffixes on `--queries` prompts.
 * `--before` also measures it without the normal form of texts and with passages of any wording. APGR is the mean of `--seeds` over all held-out
 * prompts of the first fold.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    families: { type: 'string', default: 'classifier,mf' },
    seeds: { type: 'string', default: '1' },
    candidates: { type: 'string', default: '2000' },
    queries: { type: 'string', default: '200' },
    prompts: { type: 'string', default: '1000' },
    before: { type: 'boolean', default: false },
  },
})
const STRONG_SHARE = 0.4
const WORDS = 20

const terminal = openTerminal()
const signal = interruptSignal()
const { folder, logs } = findLogs([MMLU], [], terminal.note)
const [log] = logs
const [read] = RECIPES
const { normalise: _, unfamiliar: __, ...plain } = read!
const recipes: (readonly [string, Recipe])[] = [
  ['', read!],
  ...(options.before ? [['as before 0.2.0', plain] as const] : []),
]
const dataset = await openSet(folder, log!)
const rows = []
for (const family of list(options.families)) {
  for (const [note, recipe] of recipes) {
    const measured = []
    for (const seed of list(options.seeds).map(Number)) {
      measured.push(await measure(dataset, family, recipe, seed))
    }
    const reports = measured.map(({ report }) => report)
    rows.push({
      router: note ? `${family}, ${note}` : family,
      apgr: mean(measured.map((one) => one.apgr)),
      strong_share: mean(reports.map((one) => one.strong_share)),
      changes: reports[0]!.rows.map(({ change }, i) => ({
        change,
        strong_share: mean(reports.map((one) => one.rows[i]!.strong_share)),
        upgraded: mean(reports.map((one) => one.rows[i]!.upgraded)),
        downgraded: mean(reports.map((one) => one.rows[i]!.downgraded)),
      })),
    })
  }
}
terminal.endProgress()
if (options.json) terminal.json({ ...options, rows })
else {
  for (const { router, apgr: value, strong_share: clean, changes } of rows) {
    terminal.print(`${router}: APGR ${score(value)}, ${percent(clean)} strong`)
    terminal.print(
      table([
        ['', 'sent strong', 'of the weak turned', 'of the strong turned'],
        ...changes.map(({ change, strong_share: share, upgraded, downgraded }) => [
          change,
          percent(share),
          percent(upgraded),
          percent(downgraded),
        ]),
      ]),
    )
  }
}

async function measure(
  all: Dataset,
  family: string,
  recipe: Recipe,
  seed: number,
): Promise<{ apgr: number; report: RobustnessReport }> {
  const { strong, weak } = log!
  const labels = pairLabels(all, strong, weak)
  const gainOf = new Map(
    Array.from(labels.prompt, (prompt, i) => [prompt, 2 * labels.label[i]! - 1]),
  )
  const { split } = foldOf(all, { fold: 0, folds: 5, seed })
  const fitted = await fitRouter(
    { ...readDataset(all, recipe), split },
    { strong, weak, router: family, engine: 'onnx', seed, threads: 1, signal },
  )
  const reader = promptReader(recipe)
  const scored = async (prompts: readonly string[]): Promise<Float64Array> => {
    const { embeddings } = await fitted.encoder.encoder.encode(prompts.map(reader), signal)
    return fitted.family.forward(fitted.weights, fitted.pair, embeddings).winRate
  }
  const held = createRandom(deriveSeed(seed, 'held')).shuffle(
    [...split.keys()].filter((row) => split[row] === HELD_OUT),
  )
  const rates = await scored(held.map((row) => all.prompts[row]!))
  const gain = held.map((row) => gainOf.get(row)!)
  const threshold = rates.toSorted((a, b) => b - a)[Math.floor(STRONG_SHARE * rates.length)]!
  const some = held.slice(0, Number(options.prompts))
  const report = await measureRobustness({
    prompts: some.map((row) => all.prompts[row]!),
    gain: gain.slice(0, some.length),
    threshold,
    score: scored,
    seed,
    search: {
      candidates: Number(options.candidates),
      queries: Number(options.queries),
      words: WORDS,
    },
    signal,
    onProgress: (done, total, note) =>
      terminal.onProgress({ stage: `${family}, seed ${seed}`, done, total, note }),
  })
  return { apgr: apgr(costQualityCurve(sortScores(rates), Float64Array.from(gain))), report }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
