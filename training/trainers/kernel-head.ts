import type { HeadWeights } from '../../models/family.ts'
import type { RidgeFit } from '../solver/ridge.ts'
import type { KernelFeatures } from './kernel-features.ts'
import type { FittedStages, KernelStages } from './kernel-stages.ts'
import type { NystroemFeatures } from './nystroem.ts'

const NONE: RidgeFit = {
  weights: new Float64Array(0),
  bias: new Float64Array(0),
  means: new Float64Array(0),
}

/** The stages' fits as the family's tensors: columns 0 to m - 1 the models, behind them the factors. */
export async function kernelHead(
  models: readonly string[],
  features: KernelFeatures,
  stages: KernelStages,
  fitted: FittedStages,
): Promise<HeadWeights> {
  const { first, second } = stages
  const { mix, slope } = second ?? first
  const m = models.length
  const d = features.dimension
  const { scores, factors = NONE } = fitted
  const scale = second?.outcomes.scale ?? 1
  const outputs = m + factors.bias.length
  const weights = new Float64Array(d * outputs)
  for (let j = 0; j < d; j++) {
    for (let k = 0; k < m; k++) weights[j * outputs + k] = slope * scores.weights[j * m + k]!
    for (let c = m; c < outputs; c++) {
      weights[j * outputs + c] = scale * factors.weights[j * (outputs - m) + c - m]!
    }
  }
  const shrunk = scores.bias.map((bias, k) => scores.means[k]! + slope * (bias - scores.means[k]!))
  const bias = Float32Array.of(...shrunk, ...factors.bias.map((value) => scale * value))
  const left = features.parts.filter(({ name }) => !mix[name]).map(({ name }) => `${name}.`)
  const tensors = Object.entries(await features.tensors(weights, outputs))
  return {
    models,
    tensors: {
      ...Object.fromEntries(
        tensors.filter(([name]) => !left.some((part) => name.startsWith(part))),
      ),
      bias: { shape: [outputs], values: bias },
      ...(second && (await predictedTensors(second.outcomes.nystroem, scores, d, slope))),
    },
  }
}

/** The second stage's kernel, whose weights stand behind those of the `d` features. */
async function predictedTensors(
  nystroem: NystroemFeatures,
  { weights, bias }: RidgeFit,
  d: number,
  slope: number,
): Promise<HeadWeights['tensors']> {
  const m = bias.length
  const values = Float32Array.from(weights.subarray(d * m), (weight) => slope * weight)
  const tensors = await nystroem.fold({ rows: nystroem.columns, columns: m, values })
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [`predicted.${name}`, tensor]),
  )
}
