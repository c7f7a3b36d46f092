import { poolAdjacentViolators } from '../../../core/stats/isotonic.ts'
import { linearLogits, sigmoid } from '../../../models/families/linear-head.ts'
import type { LogisticFit } from '../../solver/logistic.ts'
import { fitRelated } from '../../solver/related-logistic.ts'
import type { SharedFit } from '../trainer.ts'
import {
  headOf,
  meanLogLoss,
  type PathInput,
  type PathRecord,
  type PathSettings,
  penalties,
} from './penalty-path.ts'
import { foldTarget, type HeadTargets, joinTargets, shiftRows, type Target } from './targets.ts'

/** Prior correlations of the efforts' weights to try; 0 fits the heads apart. */
const CORRELATIONS = [0.95, 0.8, 0.5, 0] as const

export interface EffortsInput extends PathInput {
  readonly settings: PathSettings & {
    readonly folds: number
    readonly folds_below_rows: number
    readonly refit: number
  }
}

export interface EffortsFit {
  /** one head per effort, fitted to the train rows */
  readonly heldOut: readonly LogisticFit[]
  /** fitted to train and validation rows; empty without `refit` */
  readonly refitted: readonly LogisticFit[]
  readonly shared: SharedFit
}

/**
 * The success heads of one model at several efforts, lowest first, fitted together: heads that are expected to
 * resemble each other, as far as held-out rows say that they do (`fitRelated`). Correlation and penalty are those
 * with the lowest log-loss over folds, or on validation where every effort has many labels. The mean quality on the
 * prompts that a fit has seen is then made to rise with the effort: where it falls, biases are moved to the efforts'
 * common mean, weighted by their labels.
 */
export async function fitEfforts(
  input: EffortsInput,
  {
    heads,
    trainRows,
    onStep,
  }: {
    readonly heads: readonly HeadTargets[]
    /** rows of the embeddings that are train rows; validation rows follow */
    readonly trainRows: number
    readonly onStep: (record: PathRecord, step: number, steps: number) => void
  },
): Promise<EffortsFit> {
  const { settings, embeddings } = input
  const train = heads.map((head) => head.train)
  const everything = heads.map((head) => joinTargets(head.train, head.validation, trainRows))
  const few = everything.some(({ rows }) => rows.length < settings.folds_below_rows)
  const parts: readonly EffortParts[] = few
    ? Array.from({ length: settings.folds }, (_, fold) =>
        partsOf(everything.map((target) => foldTarget(target, settings.folds, fold))),
      )
    : [
        partsOf(
          heads.map((head) => ({
            fit: head.train,
            judge: shiftRows(head.validation, trainRows),
          })),
        ),
      ]
  const chosen = await choose(
    input,
    parts.filter(({ fit, judge }) => labels(fit) > 0 && labels(judge) > 0),
    onStep,
  )
  const solve = (targets: readonly Target[], init?: readonly LogisticFit[]) =>
    solveEfforts(input, targets, { ...chosen, init })
  const first = inOrder(
    few ? await solve(train) : (chosen.fits ?? (await solve(train))),
    train,
    input,
    trainRows,
  )
  const all =
    settings.refit === 1
      ? inOrder(await solve(everything, first.fits), everything, input, embeddings.rows)
      : undefined
  const { fitted, quality } = all ?? first
  return {
    heldOut: first.fits,
    refitted: all?.fits ?? [],
    shared: {
      correlation: chosen.correlation,
      l2: chosen.l2,
      labels: everything.map(({ rows }) => rows.length),
      fitted,
      quality,
    },
  }
}

/** One target per effort to fit, and one to validate on. */
interface EffortParts {
  readonly fit: readonly Target[]
  readonly judge: readonly Target[]
}

const partsOf = (parts: readonly { readonly fit: Target; readonly judge: Target }[]) => ({
  fit: parts.map(({ fit }) => fit),
  judge: parts.map(({ judge }) => judge),
})

const labels = (targets: readonly Target[]): number =>
  targets.reduce((sum, { rows }) => sum + rows.length, 0)

interface Strength {
  readonly correlation: number
  readonly l2: number
  /** the first part's heads */
  readonly fits?: readonly LogisticFit[]
}

/** For each correlation the path of penalties from the strongest, which ends where the held-out loss rises. */
async function choose(
  input: EffortsInput,
  parts: readonly EffortParts[],
  onStep: (record: PathRecord, step: number, steps: number) => void,
): Promise<Strength> {
  const path = penalties(input.settings)
  let best: (Strength & { readonly loss: number }) | undefined
  if (parts.length === 0) return { correlation: CORRELATIONS[0], l2: path[0]! }
  for (const [k, correlation] of CORRELATIONS.entries()) {
    let before:
      | { readonly fits: readonly (readonly LogisticFit[])[]; readonly loss: number }
      | undefined
    for (const [step, l2] of path.entries()) {
      const started = performance.now()
      const fits: (readonly LogisticFit[])[] = []
      let [trainLoss, loss] = [0, 0]
      for (const [i, { fit, judge }] of parts.entries()) {
        const solved = await solveEfforts(input, fit, { correlation, l2, init: before?.fits[i] })
        fits.push(solved)
        trainLoss += jointLoss(input, solved, fit) / parts.length
        loss += jointLoss(input, solved, judge) / parts.length
      }
      const seconds = (performance.now() - started) / 1000
      const steps = CORRELATIONS.length * path.length
      onStep({ trainLoss, validationLoss: loss, seconds }, k * path.length + step, steps)
      if (!best || loss < best.loss) best = { correlation, l2, loss, fits: fits[0]! }
      if (before && !(loss < before.loss)) break // weaker penalties only overfit more
      before = { fits, loss }
    }
  }
  return best!
}

function solveEfforts(
  { embeddings, settings, signal }: EffortsInput,
  targets: readonly Target[],
  { correlation, l2, init }: Strength & { readonly init?: readonly LogisticFit[] | undefined },
): Promise<LogisticFit[]> {
  signal?.throwIfAborted()
  return fitRelated({
    ...{ embeddings, heads: targets, l2, correlation, init, signal },
    maxIterations: settings.iterations,
    tolerance: 1e-5,
  })
}

/** Mean log-loss over the rows of all efforts. */
function jointLoss(
  { embeddings }: EffortsInput,
  fits: readonly LogisticFit[],
  targets: readonly Target[],
): number {
  let [loss, total] = [0, 0]
  for (const [t, target] of targets.entries()) {
    const weight = target.weights.reduce((sum, value) => sum + value, 0)
    if (weight === 0) continue
    loss += weight * meanLogLoss(fits[t]!, embeddings, target)
    total += weight
  }
  return loss / total
}

/** Weight of an effort without labels, whose mean follows those of the others. */
const HARDLY = 1e-6

/**
 * The heads with biases moved so that their mean quality over the first `rows` rows does not fall with the effort
 * (isotonic regression of the means, weighted by the labels).
 */
function inOrder(
  found: readonly LogisticFit[],
  targets: readonly Target[],
  { embeddings }: EffortsInput,
  rows: number,
): { fits: readonly LogisticFit[]; fitted: readonly number[]; quality: readonly number[] } {
  const weights = targets.map((target) => target.weights.reduce((sum, weight) => sum + weight, 0))
  const fits = withEveryBias(found, weights)
  const logits = fits.map((fit) => {
    const head = headOf(fit, embeddings.dimension)
    const logit = new Float64Array(1)
    return Float64Array.from({ length: rows }, (_, row) => {
      linearLogits(head, embeddings, row, logit)
      return logit[0]!
    })
  })
  const fitted = logits.map((values) => meanQuality(values, 0))
  const blocks = poolAdjacentViolators(
    fitted.map((y, x) => ({ rows: Math.max(weights[x]!, HARDLY), x, y })),
  )
  const quality = pooled(
    blocks.map((block) => block.y),
    blocks.map((block) => block.rows),
    weights.map((weight) => Math.max(weight, HARDLY)),
  )
  return {
    fits: fits.map((fit, t) =>
      quality[t] === fitted[t]
        ? fit
        : { ...fit, bias: fit.bias + shiftTo(logits[t]!, quality[t]!) },
    ),
    fitted,
    quality,
  }
}

/** The value of the block that each weight fell into. */
function pooled(
  values: readonly number[],
  sizes: readonly number[],
  weights: readonly number[],
): number[] {
  let [block, end, sum] = [0, sizes[0]!, 0]
  return weights.map((weight) => {
    // the middle of a weight is in its block, whatever the sums are rounded to
    while (sum + weight / 2 > end && block < sizes.length - 1) end += sizes[++block]!
    sum += weight
    return values[block]!
  })
}

/** An effort without labels has no bias of its own: the mean of its nearest neighbours' with labels. */
function withEveryBias(
  fits: readonly LogisticFit[],
  weights: readonly number[],
): readonly LogisticFit[] {
  return fits.map((fit, t) => {
    if (weights[t]! > 0) return fit
    const below = fits.findLast((_, other) => other < t && weights[other]! > 0)
    const above = fits.find((_, other) => other > t && weights[other]! > 0)
    const near = [below, above].filter((other) => other !== undefined)
    if (near.length === 0) return fit
    return { ...fit, bias: near.reduce((sum, { bias }) => sum + bias, 0) / near.length }
  })
}

const meanQuality = (logits: Float64Array, shift: number): number =>
  logits.reduce((sum, logit) => sum + sigmoid(logit + shift), 0) / logits.length

/** The shift of the logits that gives this mean quality, by bisection. */
function shiftTo(logits: Float64Array, quality: number): number {
  let [low, high] = [-50, 50]
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2
    if (meanQuality(logits, middle) < quality) low = middle
    else high = middle
  }
  return (low + high) / 2
}
