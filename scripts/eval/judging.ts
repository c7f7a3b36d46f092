import { createReadStream, existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { createGunzip } from 'node:zlib'
import { createRandom, deriveSeed, type Random } from '../../core/random.ts'
import { type Interval, meanInterval } from '../../core/stats/intervals.ts'
import { correctJudge } from '../../core/stats/judged-mean.ts'
import { Z_95 } from '../../core/stats/normal.ts'
import { type Dataset, SPLITS } from '../../data/dataset/dataset.ts'
import { pairLabels, splitRows } from '../../data/pair.ts'
import { readLogs } from '../../data/read-logs.ts'
import type { Decisions, Rating } from '../../data/rows/reader.ts'
import { weakOutcomes } from '../../data/weak-outcomes.ts'
import { loadRouter } from '../../models/router.ts'
import type { SignalRecord } from '../../records/decision-record.ts'
import { scoreAll } from '../../training/evaluate/log/router-scores.ts'
import { train } from '../../training/library.ts'
import { routerCurve } from '../collect/report.ts'
import { drawSample } from '../collect/sampling.ts'
import { openTerminal, table } from '../terminal/terminal.ts'
import { dataFolder, GSM8K, list, MMLU, type PairLog } from './logs.ts'

/**
 * `npm run eval:judging`: what the correction of judges gives on real labels, and whether active sampling pays. "Truth" is
 * what each section says it is; only PandaLM's labels are by people.
 */
const { values: options } = parseArgs({
  options: {
    /** some of orders, alpaca, people, second, active, weak */
    only: { type: 'string', default: '' },
    /** for active: some of mmlu, gsm8k, openllm; for weak: some of sample, mmlu */
    sets: { type: 'string', default: '' },
    repeats: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
})
const repeats = Number(options.repeats)
const seed = Number(options.seed)
const terminal = openTerminal()
const folder = dataFolder()
const figures: Record<string, number> = {}
const section = (title: string, rows: readonly (readonly string[])[]): void => {
  terminal.endProgress()
  if (!options.json) terminal.print(`\n${title}\n${table(rows)}`)
}
const number = (value: number): string => value.toFixed(3).replace(/^(-?)0\./, '$1.')
const shown = ({ value, low, high }: Interval): string =>
  `${number(value)} [${number(low)}, ${number(high)}]`

interface Row {
  readonly prompt: string
  readonly model_a: string
  readonly model_b: string
  readonly winner: string
  readonly judge: string
  readonly pair: string
  readonly scores: Readonly<Record<string, number>>
  readonly [field: string]: unknown
}

async function* rowsOf(file: string): AsyncGenerator<Row> {
  const path = join(folder, file)
  if (!existsSync(path)) {
    terminal.note(`${path} is not there; its section is left out`)
    return
  }
  const lines = createInterface({ input: createReadStream(path).pipe(createGunzip()) })
  for await (const line of lines) if (line !== '') yield JSON.parse(line) as Row
}

const winOf = (winner: string): number => ({ a: 1, model_a: 1, b: 0, model_b: 0 })[winner] ?? 0.5

/** What the correction gives when `labels` of the rows, drawn again and again, are labelled by the truth. */
function corrected(truth: Float64Array, judged: Float64Array, labels: number, random: Random) {
  const n = truth.length
  const mean = truth.reduce((sum, value) => sum + value, 0) / n
  let covered = 0
  let width = 0
  let people = 0
  for (let repeat = 0; repeat < repeats; repeat++) {
    // the rows are a sample too: drawn with replacement from what there is, whose mean is then the truth
    const rows = Int32Array.from({ length: n }, () => random.int(n))
    const human = Float64Array.from(rows, (row, i) => (i < labels ? truth[row]! : Number.NaN))
    const { mean: found } = correctJudge({
      judged: Float64Array.from(rows, (r) => judged[r]!),
      human,
    })!
    const alone = meanInterval(human.subarray(0, labels), undefined, 0.95)
    covered += Number(found.low <= mean && mean <= found.high) / repeats
    width += found.high - found.low
    people += alone.high - alone.low
  }
  return { truth: mean, covered, ratio: width / people }
}

const judgeAlone = (judged: Float64Array): Interval => meanInterval(judged, undefined, 0.95)

/** Single orders, as judge, beside the mean of both, as truth: position bias alone, no human truth. */
async function orders(): Promise<void> {
  const pairs = new Map<string, Map<string, { values: number[]; first: number[] }>>()
  for await (const row of rowsOf('oasst-chat-preferences.jsonl.gz')) {
    const [x, y] = [row.model_a, row.model_b].sort() as [string, string]
    const name = `${x} / ${y}`
    const prompts = pairs.get(name) ?? new Map()
    pairs.set(name, prompts)
    const its = prompts.get(row.pair) ?? { values: [], first: [] }
    prompts.set(row.pair, its)
    // `model_a` is the one shown first
    const forX = row.model_a === x ? winOf(row.winner) : 1 - winOf(row.winner)
    its.values.push(forX)
    its.first.push(winOf(row.winner))
  }
  if (pairs.size === 0) return
  const random = createRandom(seed)
  const lines = [
    ['pair', 'prompts', 'first wins by', 'one order', 'both (truth)', 'covered', 'width'],
  ]
  const coverages: number[] = []
  const largest = [...pairs].sort((a, b) => b[1].size - a[1].size).slice(0, 6)
  for (const [name, prompts] of largest) {
    const both = [...prompts.values()].filter(({ values }) => values.length === 2)
    const truth = Float64Array.from(both, ({ values }) => (values[0]! + values[1]!) / 2)
    // the order that shows the same model first on every prompt: biased as a careless user's would be
    const single = Float64Array.from(both, ({ values }) => values[0]!)
    const first = Float64Array.from(
      both.flatMap((one) => one.first),
      (value) => 2 * value - 1,
    )
    const result = corrected(truth, single, 100, random)
    coverages.push(result.covered)
    lines.push([
      ...[name, String(both.length), shown(judgeAlone(first)), shown(judgeAlone(single))],
      ...[number(result.truth), number(result.covered), number(result.ratio)],
    ])
  }
  figures.oasst_coverage = coverages.reduce((sum, value) => sum + value, 0) / coverages.length
  section(
    'oasst-chat: one order corrected by 100 rows with both (position bias, not human truth)',
    lines,
  )
}

/** AlpacaEval's two judges on the comparisons that both made; the file has no lengths of answers. */
async function alpaca(): Promise<void> {
  const verdicts = new Map<string, Map<string, number>>()
  for await (const { prompt, model_a, model_b, winner, judge } of rowsOf(
    'alpaca-eval-preferences.jsonl.gz',
  )) {
    const key = `${model_a}\n${model_b}\n${prompt}`
    const its = verdicts.get(key) ?? new Map<string, number>()
    verdicts.set(key, its.set(judge, winOf(winner)))
  }
  const judges = [...new Set([...verdicts.values()].flatMap((its) => [...its.keys()]))]
  if (judges.length === 0) return
  const shared = [...verdicts.values()].filter((its) => its.size === 2)
  const lines = [['', '']]
  lines.push(['comparisons that both judges made', String(shared.length)])
  if (shared.length > 1) {
    const [first, second] = judges as [string, string]
    const same = shared.filter((its) => its.get(first) === its.get(second)).length
    lines.push(['agree', number(same / shared.length)])
  }
  lines.push(['lengths of answers', 'not in this file: no length bias can be measured'])
  section('alpaca-eval: its two judges', lines)
}

/** Labels of people as truth, beside a judge that errs as often as told. */
async function people(): Promise<void> {
  const truth: number[] = []
  for await (const row of rowsOf('pandalm-human-preferences.jsonl.gz')) {
    truth.push(winOf(row.winner))
  }
  if (truth.length === 0) return
  const random = createRandom(seed)
  const lines = [['judge', 'judge alone', 'people (truth)', 'covered', 'width beside people alone']]
  for (const [agreement, bias] of [
    [0.85, 0],
    [0.95, 0],
    [0.8, 0.2],
  ] as const) {
    const values = Float64Array.from(truth)
    const judged = values.map((value) => {
      if (random.next() < bias) return 1
      return random.next() < agreement ? value : [0, 0.5, 1][random.int(3)]!
    })
    const result = corrected(values, judged, 100, random)
    figures[`pandalm_coverage_${100 * agreement}`] = result.covered
    lines.push([
      `${100 * agreement}% right, ${100 * bias}% for the first`,
      ...[shown(judgeAlone(judged)), number(result.truth), number(result.covered)],
      number(result.ratio),
    ])
  }
  section(`pandalm: ${truth.length} labels of people, a simulated judge, 100 labels`, lines)
}

/** A second judge's scores corrected towards the first's, which stands for truth, on models that both graded. */
async function second(): Promise<void> {
  const rows: Row[] = []
  for await (const row of rowsOf('shaberi-ja.jsonl.gz')) rows.push(row)
  if (rows.length === 0) return
  const random = createRandom(seed)
  const lines = [
    ['second judge', 'pair', 'rows', 'second alone', 'first (truth)', 'covered', 'width'],
  ]
  const coverages: number[] = []
  for (const [judge, strong, weak] of [
    ['athene-v2', 'gpt-4.5-preview-2025-02-27', 'phi-4'],
    ['llama-3.3-70b', 'gpt-4.5-preview-2025-02-27', 'phi-4'],
    ['tulu-405b', 'gpt-4o-2024-11-20', 'Llama-3.1-8B-Instruct'],
    ['gpt-5.1', 'Qwen3-30B-A3B-Instruct-2507', 'Qwen3-8B'],
  ] as const) {
    const truth: number[] = []
    const judged: number[] = []
    for (const row of rows) {
      const other = row[`scores_${judge}`] as Readonly<Record<string, number>> | undefined
      const values = [row.scores[strong], row.scores[weak], other?.[strong], other?.[weak]]
      if (values.some((value) => typeof value !== 'number')) continue
      truth.push((1 + values[0]! - values[1]!) / 2)
      judged.push((1 + values[2]! - values[3]!) / 2)
    }
    if (truth.length < 60) continue
    const result = corrected(Float64Array.from(truth), Float64Array.from(judged), 50, random)
    coverages.push(result.covered)
    lines.push([
      ...[
        judge,
        `${strong} / ${weak}`,
        String(truth.length),
        shown(judgeAlone(Float64Array.from(judged))),
      ],
      ...[number(result.truth), number(result.covered), number(result.ratio)],
    ])
  }
  figures.shaberi_coverage = coverages.reduce((sum, value) => sum + value, 0) / coverages.length
  section('shaberi-ja: a second judge corrected by 50 scores of the first', lines)
}

const OPENLLM: PairLog = {
  name: 'openllm',
  file: 'openllm-18.jsonl.gz',
  strong: 'Qwen2.5-72B-Instruct',
  weak: 'Qwen2.5-7B-Instruct',
}

/** How many labels active sampling takes for the interval of APGR that uniform sampling has. */
async function active(): Promise<void> {
  const SIZE = 400
  const lines = [
    [
      'set',
      'graded prompts',
      'spread, uniform',
      'spread, active',
      'labels needed, active to uniform',
    ],
  ]
  const sets = list(options.sets)
  for (const log of [MMLU, GSM8K, OPENLLM]) {
    if (sets.length > 0 && !sets.includes(log.name)) continue
    const path = join(folder, log.file)
    if (!existsSync(path)) continue
    const dataset = await readLogs(path, {
      seed,
      rejectsPath: join(tmpdir(), 'weir-judging.rejects'),
    })
    const find = (name: string): string =>
      dataset.models.find((model) => model === name || model.endsWith(name)) ?? name
    const [strong, weak] = [find(log.strong), find(log.weak)]
    const out = await mkdtemp(join(tmpdir(), 'weir-judging-'))
    try {
      const { bundle } = await train(dataset, {
        strong,
        weak,
        out,
        name: log.name,
        onProgress: terminal.onProgress,
      })
      const router = await loadRouter(bundle.path)
      const labels = pairLabels(dataset, strong, weak)
      const held = new Set([...splitRows(dataset, 'test'), ...splitRows(dataset, 'calibration')])
      const at = Array.from(labels.prompt.keys()).filter((i) => held.has(labels.prompt[i]!))
      const prompts = at.map((i) => dataset.prompts[labels.prompt[i]!]!)
      const { winRate } = await scoreAll(router, prompts, { onProgress: terminal.onProgress })
      await router.close()
      const n = prompts.length
      const size = Math.min(SIZE, Math.floor(n / 2))
      const spread = (kind: 'uniform' | 'active'): number => {
        const found: number[] = []
        for (let repeat = 0; repeat < repeats; repeat++) {
          const rule = kind === 'active' ? { kind, winRates: winRate } : { kind }
          const drawn = drawSample(n, size, rule, seed * 100_000 + repeat)
          const { apgr } = routerCurve(
            drawn.map(({ index }) => winRate[index]!),
            drawn.map(({ index }) => labels.label[at[index]!]!),
            drawn.map(({ propensity }) => 1 / propensity),
            'judged',
          )
          if (apgr) found.push(apgr.value)
        }
        const mean = found.reduce((sum, value) => sum + value, 0) / found.length
        return Math.sqrt(
          found.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (found.length - 1),
        )
      }
      const [uniform, drawn] = [spread('uniform'), spread('active')]
      const needed = (drawn / uniform) ** 2
      // the error of the repeats alone: a ratio of two variances of so many normal values
      const error = Math.exp(Z_95 * Math.sqrt(4 / (repeats - 1)))
      figures[`active_vs_uniform_${log.name}`] = 1 / needed
      lines.push([
        ...[log.name, String(size), number(uniform), number(drawn)],
        `${needed.toFixed(2)} [${(needed / error).toFixed(2)}, ${(needed * error).toFixed(2)}]`,
      ])
    } finally {
      await rm(out, { recursive: true, force: true })
    }
  }
  section('Active sampling beside uniform: spread of a router’s APGR over samples', lines)
}

const SAMPLE: PairLog = {
  name: 'sample',
  file: join(import.meta.dirname, '../../data/sample/outcomes.jsonl.gz'),
  strong: 'big-1',
  weak: 'small-1',
}
/** How often the sign follows a good answer (score 1) and a bad one (0): users correct few good answers. */
const CORRECTED = { good: 0.05, bad: 0.5 } as const
/** Shares of answers that users rate, and that a later request speaks of. */
const RATED = 0.1
const FOLLOWED = 0.7

/**
 * What weak signals add to training: of each train and validation prompt one model's answer is kept, of which few are rated, and
 * most are followed by a sign that errs as stated. Test prompts keep both scores.
 */
async function weak(): Promise<void> {
  const sets = list(options.sets)
  const lines = [
    ['set', 'seed', 'rated', 'weak', 'ratings alone', 'with weak signals', 'all rated'],
  ]
  for (const log of [SAMPLE, MMLU]) {
    if (sets.length > 0 && !sets.includes(log.name)) continue
    const path = log === SAMPLE ? log.file : join(folder, log.file)
    if (!existsSync(path)) continue
    const whole = await readLogs(path, {
      seed,
      rejectsPath: join(tmpdir(), 'weir-judging.rejects'),
    })
    const gains: number[] = []
    for (let run = 0; run < WEAK_RUNS; run++) {
      const world = weakWorld(whole, log, createRandom(deriveSeed(seed + run, 'weak')))
      const apgr = async (dataset: Dataset, weakSignals: boolean) => {
        const out = await mkdtemp(join(tmpdir(), 'weir-judging-'))
        const { strong, weak, name } = log
        const given = { strong, weak, out, name, weakSignals, onProgress: terminal.onProgress }
        try {
          const { report } = await train(dataset, given)
          return report.routers[0]!.apgr
        } finally {
          await rm(out, { recursive: true, force: true })
        }
      }
      const few = await apgr(world.few, false)
      const more = await apgr(world.few, true)
      const all = await apgr(world.all, false)
      gains.push(more.value! - few.value!)
      const said = ({ value, low, high }: typeof few): string =>
        `${number(value!)} [${number(low!)}, ${number(high!)}]`
      lines.push([
        ...[log.name, String(seed + run), String(world.rated), String(world.weak)],
        ...[few, more, all].map(said),
      ])
    }
    figures[`weak_signals_gain_${log.name}`] =
      gains.reduce((sum, value) => sum + value, 0) / gains.length
  }
  section(
    'Weak signals beside ratings alone: APGR of a router on test prompts with both scores',
    lines,
  )
}

const WEAK_RUNS = Math.min(3, repeats)

function weakWorld(whole: Dataset, { strong, weak: other }: PairLog, random: Random) {
  const { models, outcomes, prompts, split } = whole
  const m = models.length
  const pair = [models.indexOf(strong), models.indexOf(other)] as const
  const few = outcomes!.scores.slice()
  const all = outcomes!.scores.slice()
  const signals: SignalRecord[] = []
  const ratings: Rating[] = []
  const decisions: Decisions = Object.assign(new Map(), { signals })
  const chosen = new Map<string, number>()
  for (const [i, text] of prompts.entries()) {
    const part = SPLITS[split[i]!]!
    if (part === 'test' || part === 'calibration') continue
    const cell = i * m + pair[random.int(2)]!
    const score = outcomes!.scores[cell]!
    for (const scores of [few, all]) scores.fill(Number.NaN, i * m, (i + 1) * m)
    all[cell] = score
    const id = String(i)
    const model = models[cell - i * m]!
    decisions.set(id, { model, time: i, propensity: 0.5, text })
    chosen.set(text, cell)
    if (random.next() < FOLLOWED) {
      const rate = CORRECTED.bad + (CORRECTED.good - CORRECTED.bad) * score
      const signs = random.next() < rate ? ['correction'] : []
      signals.push({ object: 'signal', decision_id: id, time: i, model, signs, key: 'app' })
    }
    if (random.next() >= RATED) continue
    few[cell] = score
    const record = { object: 'feedback', decision_id: id, score, time: i } as const
    ratings.push({ record, origin: { path: 'log', line: 1 } })
  }
  const { rows, report } = weakOutcomes(decisions, ratings)
  const scored = new Float32Array(few.length).fill(Number.NaN)
  for (const { prompt, scores } of rows) {
    for (const score of scores.values()) scored[chosen.get(String(prompt))!] = score
  }
  const taken = (scores: Float32Array, weakScores?: Float32Array): Dataset => ({
    ...whole,
    manifest: { ...whole.manifest, weak_signals: report },
    outcomes: { scores, ...(weakScores && { weak: weakScores }) },
  })
  return { few: taken(few, scored), all: taken(all), rated: ratings.length, weak: rows.length }
}

const sections = { orders, alpaca, people, second, active, weak }
const only = list(options.only)
for (const [name, run] of Object.entries(sections)) {
  if (only.length === 0 || only.includes(name)) await run()
}
terminal.endProgress()
if (options.json) terminal.json({ figures })
