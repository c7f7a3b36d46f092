import { basename, dirname } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { type Dataset, seenHash } from '../../data/dataset/dataset.ts'
import { modelIndex } from '../../data/pair.ts'
import {
  DATA_HASHES_FILE,
  decodeDataHashes,
  encodeDataHashes,
  seenPrompts,
} from '../../models/bundle/data-hashes.ts'
import { encodeHead, HEAD_FILE } from '../../models/bundle/head-file.ts'
import { type Bundle, ROUTER_FILE } from '../../models/bundle/read.ts'
import { type WrittenBundle, writeBundle } from '../../models/bundle/write.ts'
import type { Encoder } from '../../models/encoders/encoder.ts'
import { linearGraph } from '../../models/families/linear-graph.ts'
import { type LinearHead, linearLogits, sigmoid } from '../../models/families/linear-head.ts'
import { encodeOnnx } from '../../models/onnx/encode.ts'
import { calibratedGraph } from '../../models/onnx/splice.ts'
import type { Price } from '../../models/prices.ts'
import { promptReader } from '../../models/reading/recipe.ts'
import { seenPart } from '../evaluate/log/unseen-rows.ts'
import { answersOf, knownScores } from './answers.ts'
import { type Answer, fitModel, knownLogits, withColumn } from './fit-model.ts'

import { chooseProbes } from './probes.ts'

/** Minimum number of answers: fewer say less about a model than the known models do. */
export const MIN_PROBES = 10
/** Maximum number of prompts that probes are chosen among, and the minimum as a multiple of the probes. */
const MAX_POOL = 5_000
const POOL_PROBES = 4

export interface OnboardOptions {
  readonly model: string
  readonly price?: Price
  readonly signal?: AbortSignal | undefined
}

export interface Onboarded {
  readonly bundle: WrittenBundle
  readonly probes: number
  /** the model's score on the probes, or its share of wins over known models */
  readonly measure: 'score' | 'win rate'
  /** mean of that measure, and the fitted router's prediction of it */
  readonly observed: number
  readonly predicted: number
}

/**
 * Writes a new version of the bundle that knows one more model, fitted to the log's answers of it; all else
 * is unchanged.
 *
 * @throws option_invalid if the bundle does not have one logit per model or already knows the model;
 * rows_too_few
 */
export async function onboard(
  bundle: Bundle,
  encoder: Encoder,
  dataset: Dataset,
  { model, price, signal }: OnboardOptions,
): Promise<Onboarded> {
  const head = await headOfLogits(bundle)
  const { manifest } = bundle
  if (manifest.candidates.some((candidate) => candidate.model === model)) {
    const expected = `a model that ${manifest.name} does not know yet`
    throw new WeirError('option_invalid', { option: '--model', expected, got: model })
  }
  modelIndex(dataset, model)
  const known = manifest.candidates.map((candidate) => candidate.model)
  const { rows, answers } = answersOf(dataset, model, head.link, known)
  if (rows.length < MIN_PROBES) {
    const what =
      head.link === 'success'
        ? `with an outcome of ${model}`
        : `that compare ${model} with a known model`
    throw new WeirError('rows_too_few', { expected: MIN_PROBES, what, got: rows.length })
  }
  const read = promptReader(manifest.recipe)
  const { embeddings } = await encoder.encode(
    rows.map((row) => read(dataset.prompts[row]!)),
    signal,
  )
  const grown = withColumn(head, fitModel(head, embeddings, answers))
  const logits = new Float64Array(grown.outputs)
  const predicted = answers.map(({ row, against }) => {
    linearLogits(grown, embeddings, row, logits)
    return sigmoid(logits[head.outputs]! - (against === undefined ? 0 : logits[against]!))
  })
  return {
    bundle: await grownBundle(
      bundle,
      grown,
      model,
      price,
      rows.map((row) => seenHash(dataset, row)),
    ),
    probes: rows.length,
    measure: head.link === 'success' ? 'score' : 'win rate',
    observed: weightedMean(
      answers.map(({ label }) => label),
      answers,
    ),
    predicted: weightedMean(predicted, answers),
  }
}

/** Prompts of the log to ask a new model first, the most informative first. */
export async function suggestProbes(
  bundle: Bundle,
  encoder: Encoder,
  dataset: Dataset,
  count: number,
  signal?: AbortSignal,
): Promise<string[]> {
  const head = await headOfLogits(bundle)
  // the known heads have memorised their training prompts: only unseen prompts show what they can do
  const file = await bundle.file(DATA_HASHES_FILE).catch(() => new Uint8Array(0))
  const seen = decodeDataHashes(file, DATA_HASHES_FILE)
  const all = [...dataset.prompts.keys()]
  const fresh = all.filter((row) => {
    const part = seenPart(dataset, row, seen)
    return part !== 'train' && part !== 'validation'
  })
  const from = fresh.length >= POOL_PROBES * count ? fresh : all
  const step = Math.ceil(from.length / MAX_POOL)
  const pool = from.filter((_, place) => place % step === 0)
  const texts = pool.map((row) => dataset.prompts[row]!)
  const { embeddings } = await encoder.encode(
    texts.map(promptReader(bundle.manifest.recipe)),
    signal,
  )
  const features = knownLogits(head, embeddings)
  const known = bundle.manifest.candidates.map(({ model }) => model)
  const observed = knownScores(dataset, pool, known)
  return chooseProbes(features, head.outputs + 1, count, observed).map((i) => texts[i]!)
}

async function headOfLogits(bundle: Bundle): Promise<LinearHead> {
  const head = await bundle.head()
  if (head && head.link !== 'pair') return head
  throw new WeirError('option_invalid', {
    option: 'the bundle',
    expected: 'one logit per model (weir train --router classifier on outcomes, or mf)',
    got: `${bundle.manifest.family.name} with ${head ? `a ${head.link} head` : 'no linear head'}`,
  })
}

async function grownBundle(
  bundle: Bundle,
  head: LinearHead,
  model: string,
  price: Price | undefined,
  hashes: readonly string[],
): Promise<WrittenBundle> {
  const { manifest } = bundle
  const home = dirname(bundle.path)
  if (basename(home) !== manifest.name) {
    throw new WeirError('bundle_invalid', {
      path: bundle.path,
      reason: `its folder lies in ${basename(home)}/, expected ${manifest.name}/, so that a new version can be written beside it`,
    })
  }
  const files = new Map<string, Uint8Array>()
  for (const name of Object.keys(manifest.files)) files.set(name, await bundle.file(name))
  const { dimension, output: kind } = manifest.encoder
  const graph = encodeOnnx(linearGraph(head, { kind, dimension }))
  const seen = seenPrompts(files.get(DATA_HASHES_FILE) ?? new Uint8Array(0))
  files.set(ROUTER_FILE, calibratedGraph(graph, manifest.calibration))
  files.set(HEAD_FILE, encodeHead(head))
  files.set(DATA_HASHES_FILE, encodeDataHashes({ ...seen, train: [...seen.train, ...hashes] }))
  const { format: _, version: __, created: ___, files: ____, fallback: _____, ...kept } = manifest
  return writeBundle(dirname(home), {
    manifest: {
      ...kept,
      candidates: [...manifest.candidates, { model, role: 'other', ...(price ? { price } : {}) }],
      head: { link: head.link, outputs: head.outputs, dimension: head.dimension },
    },
    files,
  })
}

function weightedMean(values: readonly number[], answers: readonly Answer[]): number {
  let [sum, weight] = [0, 0]
  for (const [i, answer] of answers.entries()) {
    sum += answer.weight * values[i]!
    weight += answer.weight
  }
  return sum / weight
}
