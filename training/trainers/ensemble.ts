import Type, { type Static } from 'typebox'
import { classifier } from '../../models/families/classifier.ts'
import { clippedLogit, ensembleWeights } from '../../models/families/ensemble.ts'
import { knn } from '../../models/families/knn.ts'
import { sigmoid } from '../../models/linear-head.ts'
import { defaultsOf } from '../settings.ts'
import type { Trainer } from '../trainer.ts'
import { CLASSIFIER_SETTINGS, classifierTrainer } from './classifier.ts'
import { KNN_SETTINGS, knnTrainer } from './knn.ts'
import { pairRows, winRateLoss } from './pair-rows.ts'

/** What the neighbours' logit may count beside the classifier's 1. */
const SHARES = [0, 0.1, 0.2, 0.35, 0.5, 0.75, 1]
const SCALES = [0.6, 0.8, 1, 1.2]

const ENSEMBLE_SETTINGS = Type.Object({
  ...CLASSIFIER_SETTINGS.properties,
  ...KNN_SETTINGS.properties,
})

/** Fits a classifier and knn on the same rows and mixes their logits by the least log-loss on validation. */
export const ensembleTrainer: Trainer<Static<typeof ENSEMBLE_SETTINGS>> = {
  family: 'ensemble',
  input: 'sparse',
  settings: ENSEMBLE_SETTINGS,
  defaults: defaultsOf(ENSEMBLE_SETTINGS),

  async fit(input) {
    const { validation, hyperparameters } = input
    const linear = await classifierTrainer.fit(input)
    const near = await knnTrainer.fit(input)
    const labels = pairRows(validation, input)
    const logits = [
      classifier.forward(linear.heldOut ?? linear.weights, input, validation.embeddings),
      knn.forward(near.heldOut ?? near.weights, input, validation.embeddings),
    ].map(({ winRate }) => winRate.map(clippedLogit))
    let best: { loss: number; mix: [number, number] } | undefined
    for (const share of SHARES) {
      for (const scale of SCALES) {
        const mix: [number, number] = [scale * (1 - share / 2), scale * share]
        const mixed = logits[0]!.map((logit, i) =>
          sigmoid(mix[0] * logit + mix[1] * logits[1]![i]!),
        )
        const loss = winRateLoss(mixed, labels)
        if (!best || loss < best.loss - 1e-6) best = { loss, mix }
      }
    }
    const { mix } = best!
    const joined = (which: 'weights' | 'heldOut') =>
      ensembleWeights(
        {
          classifier: linear[which] ?? linear.weights,
          knn: near[which] ?? near.weights,
        },
        mix,
      )
    return {
      weights: joined('weights'),
      heldOut: joined('heldOut'),
      hyperparameters: { ...hyperparameters, mix_classifier: mix[0], mix_knn: mix[1] },
      curve: [...linear.curve, ...near.curve].map((record, epoch) => ({ ...record, epoch })),
      backend: `${linear.backend}, ${near.backend}`,
    }
  },
}
