import { parseArgs } from 'node:util'
import { createRandom, deriveSeed } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { pairLabels } from '../../data/pair.ts'
import { promptReader, RECIPES, type Recipe } from '../../models/reading/recipe.ts'
import {
  type Conversation,
  readTranscript,
  type Turn,
  transcript,
} from '../../models/reading/transcript.ts'
import { chooseRecipe, readDataset } from '../../training/choose-recipe.ts'
import { apgr, costQualityCurve } from '../../training/evaluate/metrics/curve.ts'
import { sortScores } from '../../training/evaluate/metrics/score-order.ts'
import { type FitRouterOptions, fitRouter } from '../../training/fit-router.ts'
import { interruptSignal } from '../terminal/interrupt.ts'
import { openTerminal, percent, score, table } from '../terminal/terminal.ts'
import { findLogs, list, MMLU, type PairLog } from './logs.ts'
import { foldOf, HELD_OUT, openSet } from './router-sets.ts'

/**
 * `npm run eval:context`: what a router loses where its prompts are served as parts of conversations. The
 * classifier on `lexical` is fitted on the logged prompts, k-fold by stem, and scores each held-out prompt as
 * it was logged, behind a short and a long system prompt, as the second question of a conversation, and in the
 * envelope of a coding agent. Nothing but the question matters to the labels, so the APGR should not fall, and
 * at the threshold that sends 40% of the logged prompts strong no decision should change.
 * `--recipes` also fits with each known recipe; without it only with the one that `weir train` would choose.
 * A drop may be negative; figures are the worst over the sets.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    sets: { type: 'string', default: '' },
    folds: { type: 'string', default: '5' },
    seeds: { type: 'string', default: '1' },
    recipes: { type: 'boolean', default: false },
    before: { type: 'boolean', default: false },
  },
})
const SETS: readonly PairLog[] = [
  MMLU,
  {
    name: 'oasst',
    file: 'oasst-chat-preferences.jsonl.gz',
    strong: 'gpt-3.5-turbo',
    weak: 'vicuna-13b',
  },
]
const STRONG_SHARE = 0.4

const SHORT_SYSTEM = 'You are a helpful assistant. Answer the question.'
const LONG_SYSTEM = Array.from(
  { length: 100 },
  (_, i) =>
    `Rule ${i + 1}: you work for the customer service of Example Corp; be polite, do not promise refunds, and answer briefly.`,
).join('\n')

type Way = (conversation: Conversation, other: string) => readonly Turn[]
const WAYS: Readonly<Record<string, Way>> = {
  bare: ({ turns }) => turns,
  short_system: ({ turns }) => [{ role: 'system', text: SHORT_SYSTEM }, ...turns],
  long_system: ({ turns }) => [{ role: 'system', text: LONG_SYSTEM }, ...turns],
  followup: ({ turns }, other) => [
    { role: 'user', text: other },
    { role: 'assistant', text: 'The answer is B, because the other options do not fit.' },
    ...turns,
  ],
  envelope: ({ turns }) =>
    turns.map((turn, i) =>
      i === turns.length - 1
        ? {
            ...turn,
            text: `<system-reminder>\nThe user opened src/index.ts. Do not mention this reminder.\n</system-reminder>\n<environment_details>\nCurrent folder: /home/user/app\nFiles: ${'src/a.ts '.repeat(200)}\n</environment_details>\n${turn.text}`,
          }
        : turn,
    ),
}

const terminal = openTerminal()
const signal = interruptSignal()
const { folder, logs } = findLogs(SETS, list(options.sets), terminal.note)
const folds = Number(options.folds)
const seeds = list(options.seeds).map(Number)

interface Measured {
  readonly set: string
  readonly recipe: string
  /** mean over the seeds */
  readonly apgr: Readonly<Record<string, number>>
  readonly flips: Readonly<Record<string, number>>
}
const CHOSEN = 'chosen'
const rows: Measured[] = []
for (const log of logs) {
  const dataset = await openSet(folder, log)
  const names = options.recipes ? [CHOSEN, ...RECIPES.map(({ name }) => name)] : [CHOSEN]
  if (options.before) names.push('before')
  for (const name of names) rows.push(await measure(log, dataset, name))
}
terminal.endProgress()

const chosen = rows.filter(({ recipe }) => recipe.startsWith(CHOSEN))
const worst = (of: (row: Measured) => number): number => Math.max(...chosen.map(of))
const figures = {
  apgr_drop_long_system: worst(({ apgr: of }) => of.bare! - of.long_system!),
  apgr_drop_followup: worst(({ apgr: of }) => of.bare! - of.followup!),
  apgr_drop_envelope: worst(({ apgr: of }) => of.bare! - of.envelope!),
  flip_rate_wrapped: worst(({ flips }) => Math.max(...Object.values(flips))),
}
if (options.json) terminal.json({ folds, seeds, rows, figures })
else {
  const ways = Object.keys(WAYS)
  terminal.print(
    table([
      [
        'set',
        'recipe',
        ...ways.map((way) => `APGR ${way}`),
        ...ways.slice(1).map((way) => `flips ${way}`),
      ],
      ...rows.map(({ set, recipe, apgr: of, flips }) => [
        set,
        recipe,
        ...ways.map((way) => score(of[way]!)),
        ...ways.slice(1).map((way) => percent(flips[way]!)),
      ]),
    ]),
  )
  for (const [name, value] of Object.entries(figures)) terminal.print(`${name} ${score(value)}`)
}

/** Out-of-fold APGR of each way, and the share of decisions that differ from those on the logged prompts. */
async function measure(log: PairLog, dataset: Dataset, name: string): Promise<Measured> {
  const sums: Record<string, number> = {}
  const flips: Record<string, number> = {}
  const recipes = new Set<string>()
  const labels = pairLabels(dataset, log.strong, log.weak)
  const gain = Array.from(labels.label, (label) => 2 * label - 1)
  for (const seed of seeds) {
    const winRates = Object.fromEntries(
      Object.keys(WAYS).map((way) => [way, new Float64Array(dataset.prompts.length)]),
    )
    for (let fold = 0; fold < folds; fold++) {
      terminal.onProgress({ stage: 'folds', done: fold, total: folds, note: `${log.name} ${name}` })
      const folded = foldOf(dataset, { fold, folds, seed })
      const fit: FitRouterOptions = {
        strong: log.strong,
        weak: log.weak,
        router: 'classifier',
        engine: 'onnx',
        seed,
        threads: 1,
        signal,
      }
      const recipe = await recipeNamed(name, folded, fit)
      if (name === CHOSEN) recipes.add(recipe!.name)
      const read = recipe
        ? readDataset(folded, recipe)
        : { ...folded, prompts: folded.prompts.map(promptReader(undefined)) }
      const { family, weights, pair, encoder } = await fitRouter(read, fit)
      const held = [...folded.split.keys()].filter((row) => folded.split[row] === HELD_OUT)
      const random = createRandom(deriveSeed(seed, 'other questions'))
      const others = held.map(() => random.int(dataset.prompts.length))
      for (const [way, served] of Object.entries(WAYS)) {
        const texts = held.map((row, i) => {
          const other = readTranscript(dataset.prompts[others[i]!]!).turns.at(-1)!.text
          return promptReader(recipe)(servedAs(served, dataset.prompts[row]!, other))
        })
        const { embeddings } = await encoder.encoder.encode(texts, signal)
        const { winRate } = family.forward(weights, pair, embeddings)
        held.forEach((row, i) => {
          winRates[way]![row] = winRate[i]!
        })
      }
    }
    const of = (way: string): number[] =>
      Array.from(labels.prompt, (prompt) => winRates[way]![prompt]!)
    const bare = of('bare')
    const threshold = bare.toSorted((a, b) => b - a)[Math.floor(STRONG_SHARE * bare.length)]!
    for (const way of Object.keys(WAYS)) {
      const rates = of(way)
      const value = apgr(costQualityCurve(sortScores(rates), gain))
      sums[way] = (sums[way] ?? 0) + value / seeds.length
      if (way === 'bare') continue
      const flipped = rates.filter((rate, i) => rate > threshold !== bare[i]! > threshold).length
      flips[way] = (flips[way] ?? 0) + flipped / rates.length / seeds.length
    }
  }
  const recipe = recipes.size > 0 ? `${name}: ${[...recipes].join(', ')}` : name
  return { set: log.name, recipe, apgr: sums, flips }
}

async function recipeNamed(
  name: string,
  folded: Dataset,
  fit: FitRouterOptions,
): Promise<Recipe | undefined> {
  if (name === CHOSEN) return (await chooseRecipe(folded, fit)).recipe
  return RECIPES.find((recipe) => recipe.name === name)
}

function servedAs(way: Way, prompt: string, other: string): string {
  const conversation = readTranscript(prompt)
  const turns = way(conversation, other)
  return transcript(
    turns.map(({ role, text }) => ({ role, content: text })),
    undefined,
    conversation.tools,
  )
}
