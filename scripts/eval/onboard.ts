import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createRandom, deriveSeed } from '../../core/random.ts'
import { readLogs } from '../../data/ingest.ts'
import { takeRows } from '../../models/encoders/embeddings.ts'
import { type LinearHead, scoreLinear } from '../../models/families/linear-head.ts'
import { fitRouter } from '../../training/fit-router.ts'
import { knownScores } from '../../training/onboard/answers.ts'
import { fitModel, knownLogits } from '../../training/onboard/fit-model.ts'

import { chooseProbes } from '../../training/onboard/probes.ts'
import { interruptSignal } from '../terminal/interrupt.ts'
import { openTerminal, score, table } from '../terminal/terminal.ts'
import { foldOf, HELD_OUT, routerSets } from './router-sets.ts'

/**
 * `npm run eval:onboard`: leaves out every model of MMLU-Pro once. The others' success heads do not know it;
 * it answers 50 probes among prompts that no head was fitted on. Reports the fraction of the log-loss
 * reduction over its base rate, on a fifth of the prompts held out by stem, that a separate head on all
 * training rows achieves. Next to the chosen probes: random ones of the same pool, and the whole pool.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    set: { type: 'string', default: 'mmlu_pro_gpt4o' },
    seed: { type: 'string', default: '1' },
    probes: { type: 'string', default: '50' },
    draws: { type: 'string', default: '10' },
    /** L2 strength of every head; no search, since each model would need its own */
    l2: { type: 'string', default: '2' },
  },
})
const terminal = openTerminal()
const signal = interruptSignal()
const seed = Number(options.seed)
const count = Number(options.probes)
const VALIDATION = 1

const { folder, sets } = routerSets([options.set], terminal.note)
const set = sets[0]!
const dataset = foldOf(await readLogs([join(folder, set.file)], { seed: 1 }), {
  fold: 0,
  folds: 5,
  seed,
})
const { models, outcomes } = dataset
const m = models.length
const scoreOf = (row: number, model: number): number => outcomes!.scores[row * m + model]!
const { family, weights, pair, encoder } = await fitRouter(dataset, {
  strong: set.strong,
  weak: set.weak,
  router: 'classifier',
  engine: 'onnx',
  seed,
  threads: 1,
  hyperparameters: { l2_steps: 1, l2_max: Number(options.l2), refit: 0, folds_below_rows: 0 },
  signal,
  onProgress: terminal.onProgress,
})
const head = family.fold!(weights, pair)
const encoded = await encoder.encoder.encode(dataset.prompts, signal)
const rows = [...dataset.prompts.keys()]

interface Left {
  readonly model: string
  readonly base: number
  /** log-loss reduction of its own head */
  readonly whole: number
  /** fractions of it */
  readonly chosen: number
  readonly random: number
  readonly pool: number
}

const lefts = models.map(leaveOut).filter((left) => left !== undefined)
terminal.endProgress()
const mean = (of: (left: Left) => number): number =>
  lefts.reduce((sum, left) => sum + of(left), 0) / lefts.length
/** Fractions of all the reductions together: a model with a small reduction has a small weight. */
const pooled = (of: (left: Left) => number): number =>
  mean((left) => of(left) * left.whole) / mean((left) => left.whole)
const figures = {
  onboard_chosen: mean(({ chosen }) => chosen),
  onboard_random: mean(({ random }) => random),
  onboard_chosen_pooled: pooled(({ chosen }) => chosen),
  onboard_random_pooled: pooled(({ random }) => random),
  onboard_over_60_percent: lefts.filter(({ chosen }) => chosen >= 0.6).length / lefts.length,
}
if (options.json) terminal.json({ set: set.name, seed, probes: count, lefts, figures })
else {
  const line = (name: string, of: (pick: (left: Left) => number) => number): string[] => [
    name,
    '',
    '',
    ...[of(({ chosen }) => chosen), of(({ random }) => random), of(({ pool }) => pool)].map(score),
  ]
  terminal.print(
    table([
      ['left out', 'base rate', 'reduction', `${count} chosen`, `${count} random`, 'whole pool'],
      ...lefts.map((left) => [
        left.model,
        ...[left.base, left.whole, left.chosen, left.random, left.pool].map(score),
      ]),
      line('mean', mean),
      line('of all reductions', pooled),
    ]),
  )
}

/** Undefined for a model whose separate head does not beat its base rate: there is nothing to recover. */
function leaveOut(model: string, index: number): Left | undefined {
  signal.throwIfAborted()
  terminal.onProgress({ stage: 'leaving out', done: index, total: m, note: model })
  const observed = rows.filter((row) => !Number.isNaN(scoreOf(row, index)))
  const part = (of: number): number[] => observed.filter((row) => dataset.split[row] === of)
  const [train, test, pool] = [part(0), part(HELD_OUT), part(VALIDATION)]
  const base = train.reduce((sum, row) => sum + scoreOf(row, index), 0) / train.length
  const asked = takeRows(encoded.embeddings, test)
  const lossOf = (of: LinearHead, column: number): number => {
    const { quality } = scoreLinear(of, asked)
    return meanLoss(test, index, (i) => quality![i * of.outputs + column]!)
  }
  const atBase = meanLoss(test, index, () => base)
  const whole = atBase - lossOf(head, index)
  if (whole <= 0) return undefined
  const others = without(head, index)
  const recovered = (probes: readonly number[]): number => {
    const answers = probes.map((row, place) => ({
      row: place,
      label: scoreOf(row, index),
      weight: 1,
    }))
    const column = fitModel(others, takeRows(encoded.embeddings, probes), answers)
    const alone = { ...column, bias: Float32Array.of(column.bias), outputs: 1 }
    return (atBase - lossOf({ ...others, ...alone }, 0)) / whole
  }
  const known = models.filter((_, k) => k !== index)
  const features = knownLogits(others, takeRows(encoded.embeddings, pool))
  const chosen = chooseProbes(features, m, count, knownScores(dataset, pool, known))
  const random = createRandom(deriveSeed(seed, model))
  const draws = Array.from({ length: Number(options.draws) }, () =>
    recovered(random.shuffle([...pool]).slice(0, count)),
  )
  return {
    model,
    base,
    whole,
    chosen: recovered(chosen.map((place) => pool[place]!)),
    random: draws.reduce((sum, value) => sum + value, 0) / draws.length,
    pool: recovered(pool),
  }
}

function meanLoss(some: readonly number[], model: number, rate: (i: number) => number): number {
  let loss = 0
  for (const [i, row] of some.entries()) {
    const p = Math.min(Math.max(rate(i), 1e-6), 1 - 1e-6)
    const y = scoreOf(row, model)
    loss -= (y * Math.log(p) + (1 - y) * Math.log(1 - p)) / some.length
  }
  return loss
}

function without(all: LinearHead, index: number): LinearHead {
  const keep = (values: Float32Array): Float32Array => values.filter((_, i) => i % m !== index)
  return { ...all, outputs: m - 1, weights: keep(all.weights), bias: keep(all.bias) }
}
