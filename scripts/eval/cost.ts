import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { createRandom } from '../../core/random.ts'
import { fitLexical, PROJECTION_DEFAULTS } from '../../training/lexical/fit.ts'
import { type DenseMatrix, pickRows } from '../../training/solver/dense-matrix.ts'
import { openProducts, type Products } from '../../training/solver/products.ts'
import { choleskySolve, momentsOf, solveRidge } from '../../training/solver/ridge.ts'
import { openTerminal, table } from '../terminal/terminal.ts'
import { expectedTokens, fitLengths } from './length-head.ts'
import { dataFolder } from './logs.ts'

/**
 * `npm run eval:cost`: mean score at half the best model's cost where the rule (the highest expected score less lambda times
 * expected cost) knows the mean cost of each model, the cost of the prompt and a mean answer, what the length head
 * expects, or the true cost. Five folds; scores and lengths are ridge regressions on `lexical`. `length_head_gain` is
 * the head's gain over the mean answer, with a 95% interval over prompts.
 *
 * bfcl-tools has the tokens and the prices of 2024; MMLU-Pro has characters of answers, and active parameters stand for prices.
 * No set here has tokens of hidden reasoning. A third log simulates them on MMLU-Pro: the dearer half of its models think before they answer,
 * the longer the fewer models know the answer. How strongly is an assumption of this script, not data.
 */
const FOLDS = 5
const REPLICATES = 200
const SHARE = 0.5

interface Log {
  readonly name: string
  readonly models: readonly string[]
  readonly prompts: readonly string[]
  /** n x k */
  readonly scores: Float32Array
  readonly tokens: Float32Array
  /** dollars of the prompt alone, and of one token of the answer by model */
  readonly promptCost: Float64Array
  readonly perToken: Float64Array
}

interface Row {
  readonly prompt: string
  readonly scores: Readonly<Record<string, number>>
  readonly costs?: Readonly<Record<string, number>>
  readonly tokens?: Readonly<Record<string, number>>
  readonly input_tokens?: Readonly<Record<string, number>>
  readonly out_chars?: Readonly<Record<string, number>>
}

const folder = dataFolder()

async function rowsOf(
  file: string,
  models: (row: Row) => readonly string[],
): Promise<{ rows: Row[]; models: readonly string[] }> {
  const text = gunzipSync(await readFile(join(folder, file))).toString('utf8')
  const rows = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
  const names = models(rows[0]!)
  const whole = rows.filter((row) =>
    names.every((name) => row.scores[name] !== undefined && lengthOf(row, name) !== undefined),
  )
  return { rows: whole, models: names }
}

const lengthOf = (row: Row, model: string): number | undefined =>
  row.tokens
    ? row.tokens[model]
    : row.out_chars?.[model] === undefined
      ? undefined
      : row.out_chars[model]! / 4

/** Prices per token of prompt and answer, by least squares on what each request cost. */
function pricesOf(rows: readonly Row[], model: string): [input: number, output: number] {
  const a = new Float64Array(4)
  const b = new Float64Array(2)
  for (const { costs, tokens, input_tokens } of rows) {
    const x = [input_tokens![model]!, tokens![model]!] as const
    for (const i of [0, 1] as const) {
      for (const j of [0, 1] as const) a[2 * i + j]! += x[i] * x[j]
      b[i]! += x[i] * costs![model]!
    }
  }
  choleskySolve(a, 2, b, 1)
  return [b[0]!, b[1]!]
}

async function bfcl(): Promise<Log> {
  const { rows, models } = await rowsOf('bfcl-tools.jsonl.gz', (row) => Object.keys(row.scores))
  const prices = models.map((model) => pricesOf(rows, model))
  return logOf('bfcl-tools', rows, models, {
    prompt: (row, c) => row.input_tokens![models[c]!]! * prices[c]![0],
    perToken: prices.map(([, output]) => output),
  })
}

async function mmluPro(): Promise<Log> {
  const parameters = JSON.parse(
    await readFile(join(folder, 'active-parameters.json'), 'utf8'),
  ) as Record<string, number>
  const { rows, models } = await rowsOf('mmlu-pro.jsonl.gz', (row) =>
    Object.keys(row.scores).filter((model) => typeof parameters[model] === 'number'),
  )
  const price = models.map((model) => parameters[model]! / 1e6)
  return logOf('mmlu-pro', rows, models, {
    prompt: (row, c) => (row.prompt.length / 4) * price[c]!,
    perToken: price,
  })
}

/** Hidden tokens over those of the answer where half of the models know it; 8 times as many where none does as where all do. */
const THINKING = { factor: 4, range: 8, spread: 0.5 }

/** The log, with hidden reasoning of the dearer half of its models. */
function withThinking(log: Log): Log {
  const k = log.models.length
  const middle = [...log.perToken].sort((a, b) => a - b)[Math.floor(k / 2)]!
  const random = createRandom(29)
  const tokens = log.tokens.slice()
  for (let i = 0; i < log.prompts.length; i++) {
    let known = 0
    for (let c = 0; c < k; c++) known += log.scores[i * k + c]! / k
    const hard = THINKING.factor * THINKING.range ** (0.5 - known)
    for (let c = 0; c < k; c++) {
      const thought = hard * Math.exp(THINKING.spread * random.normal())
      if (log.perToken[c]! >= middle) tokens[i * k + c]! *= 1 + thought
    }
  }
  return { ...log, name: `${log.name}-thinking`, tokens }
}

function logOf(
  name: string,
  rows: readonly Row[],
  models: readonly string[],
  cost: { readonly prompt: (row: Row, c: number) => number; readonly perToken: readonly number[] },
): Log {
  const k = models.length
  const each = (of: (row: Row, c: number) => number): number[] =>
    rows.flatMap((row) => models.map((_, c) => of(row, c)))
  return {
    name,
    models,
    prompts: rows.map(({ prompt }) => prompt),
    scores: Float32Array.from(each((row, c) => row.scores[models[c]!]!)),
    tokens: Float32Array.from(each((row, c) => lengthOf(row, models[c]!)!)),
    promptCost: Float64Array.from(each(cost.prompt)),
    perToken: Float64Array.from({ length: k }, (_, c) => cost.perToken[c]!),
  }
}

/** By what the rule knows of costs: the expected dollars, n x k. */
type Costs = Readonly<Record<'mean' | 'mean_answer' | 'length_head' | 'oracle', Float64Array>>

interface Held {
  /** n x k expected scores, of prompts that were held out */
  readonly quality: Float64Array
  readonly costs: Costs
}

async function heldOut(log: Log, products: Products): Promise<Held> {
  const n = log.prompts.length
  const k = log.models.length
  const random = createRandom(3)
  const fold = Int32Array.from({ length: n }, () => Math.floor(random.next() * FOLDS))
  const quality = new Float64Array(n * k)
  const blank = (): Float64Array => new Float64Array(n * k)
  const costs = { mean: blank(), mean_answer: blank(), length_head: blank(), oracle: blank() }
  const matrix = (values: Float32Array): DenseMatrix => ({ rows: n, columns: k, values })
  for (let f = 0; f < FOLDS; f++) {
    const train = [...fold.keys()].filter((i) => fold[i] !== f)
    const test = [...fold.keys()].filter((i) => fold[i] === f)
    const { encoder } = await fitLexical({
      prompts: train.map((i) => log.prompts[i]!),
      projection: { ...PROJECTION_DEFAULTS, dimension: 128, seed: 5 },
    })
    const encode = async (rows: readonly number[]): Promise<DenseMatrix> => {
      const { embeddings: encoded } = await encoder.encode(rows.map((i) => log.prompts[i]!))
      if (encoded.kind !== 'dense') throw new Error('expected dense embeddings')
      return { rows: rows.length, columns: encoded.dimension, values: encoded.values }
    }
    const [z, held] = [await encode(train), await encode(test)]
    const tokens = pickRows(matrix(log.tokens), Int32Array.from(train))
    const lengths = await fitLengths(z, tokens, products)
    const expected = expectedTokens(lengths, held)
    const moments = await momentsOf(
      z,
      pickRows(matrix(log.scores), Int32Array.from(train)),
      products,
    )
    const fit = solveRidge(moments, 3, new Float64Array(z.columns).fill(1))
    for (let c = 0; c < k; c++) {
      const rate = log.perToken[c]!
      const mean = (of: (i: number) => number): number =>
        train.reduce((sum, i) => sum + of(i), 0) / train.length
      const meanTokens = mean((i) => log.tokens[i * k + c]!)
      const meanCost = mean((i) => log.promptCost[i * k + c]! + log.tokens[i * k + c]! * rate)
      for (const [row, i] of test.entries()) {
        const at = i * k + c
        let score = fit.bias[c]!
        for (let j = 0; j < held.columns; j++)
          score += held.values[row * held.columns + j]! * fit.weights[j * k + c]!
        quality[at] = score
        costs.mean[at] = meanCost
        costs.mean_answer[at] = log.promptCost[at]! + meanTokens * rate
        costs.length_head[at] = log.promptCost[at]! + expected[row * k + c]! * rate
        costs.oracle[at] = log.promptCost[at]! + log.tokens[at]! * rate
      }
    }
  }
  return { quality, costs }
}

/** Mean score of the rule over these prompts, at the lambda that spends the budget in true dollars. */
function valueAt(
  log: Log,
  { quality, costs }: Held,
  known: Float64Array,
  rows: Int32Array,
  budget: number,
): number {
  const k = log.models.length
  const outcome = (lambda: number): { score: number; cost: number } => {
    let [score, cost] = [0, 0]
    for (const i of rows) {
      let best = i * k
      let top = Number.NEGATIVE_INFINITY
      for (let at = i * k; at < i * k + k; at++) {
        const value = quality[at]! - lambda * known[at]!
        if (value <= top) continue
        top = value
        best = at
      }
      score += log.scores[best]!
      cost += costs.oracle[best]!
    }
    return { score: score / rows.length, cost: cost / rows.length }
  }
  // cost falls with lambda; the two ends of the last interval are mixed to spend the budget exactly
  let [low, high] = [0, 1 / budget]
  while (outcome(high).cost > budget) high *= 4
  let [dear, cheap] = [outcome(low), outcome(high)]
  if (dear.cost <= budget) return dear.score
  for (let step = 0; step < 18; step++) {
    const middle = (low + high) / 2
    const its = outcome(middle)
    if (its.cost > budget) [low, dear] = [middle, its]
    else [high, cheap] = [middle, its]
  }
  const share = dear.cost === cheap.cost ? 0 : (budget - cheap.cost) / (dear.cost - cheap.cost)
  return share * dear.score + (1 - share) * cheap.score
}

const terminal = openTerminal()
const products = await openProducts(1)
const rows: string[][] = [
  [
    'log',
    'best model',
    'mean cost',
    'prompt + mean answer',
    'length head',
    'true cost',
    'gain of the head',
  ],
]
const figures: Record<string, number> = {}
try {
  const pro = await mmluPro()
  for (const log of [await bfcl(), pro, withThinking(pro)]) {
    const held = await heldOut(log, products)
    const n = log.prompts.length
    const k = log.models.length
    const all = Int32Array.from({ length: n }, (_, i) => i)
    const meanOf = (values: ArrayLike<number>, c: number): number =>
      all.reduce((sum, i) => sum + values[i * k + c]!, 0) / n
    const best = [...log.models.keys()].reduce((a, b) =>
      meanOf(log.scores, b) > meanOf(log.scores, a) ? b : a,
    )
    const budget = SHARE * meanOf(held.costs.oracle, best)
    const value = (known: Float64Array, its: Int32Array): number =>
      valueAt(log, held, known, its, budget)
    const { mean, mean_answer, length_head, oracle } = held.costs
    const gain = (its: Int32Array): number => value(length_head, its) - value(mean_answer, its)
    const random = createRandom(17)
    const gains = Array.from({ length: REPLICATES }, (_, done) => {
      terminal.onProgress({ stage: log.name, done, total: REPLICATES })
      return gain(all.map(() => Math.floor(random.next() * n)))
    }).sort((a, b) => a - b)
    const [low, high] = [
      gains[Math.floor(0.025 * REPLICATES)]!,
      gains[Math.ceil(0.975 * REPLICATES) - 1]!,
    ]
    const key = log.name.replaceAll('-', '_')
    figures[`length_head_gain_${key}`] = gain(all)
    figures[`length_head_gain_${key}_low`] = low
    figures[`length_head_gain_${key}_high`] = high
    const three = (x: number): string => x.toFixed(3)
    rows.push([
      `${log.name} (${n})`,
      three(meanOf(log.scores, best)),
      ...[mean, mean_answer, length_head, oracle].map((known) => three(value(known, all))),
      `${three(gain(all))} [${three(low)}, ${three(high)}]`,
    ])
  }
} finally {
  await products.close()
  terminal.endProgress()
}
if (process.argv.includes('--json')) terminal.json({ figures })
else terminal.print(table(rows))
