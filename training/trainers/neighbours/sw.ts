import Type, { type Static } from 'typebox'
import { defaultsOf, real, whole } from '../settings.ts'
import type { Trainer } from '../trainer.ts'
import { joinRows, tailOf, withKernel } from './knn.ts'
import { neighbourTensors } from './neighbour-rows.ts'

const SW_SETTINGS = Type.Object({
  prior: real(0, 'votes of the prior: how many the mean of all prompts counts', {
    minimum: 0,
    search: { among: [0, 0.1, 1, 10, 100] },
  }),
  tail: whole(
    0,
    'of sparse rows, how many of the last columns are the dense ones; set by --encoder',
    {
      minimum: 0,
    },
  ),
  refit: whole(1, '1: the validation rows are kept among the others at the end', {
    minimum: 0,
    maximum: 1,
  }),
})

/** Similarity-weighted Bradley-Terry has nothing to fit: it stores the pair's rows and the weight of the prior. */
export const swTrainer: Trainer<Static<typeof SW_SETTINGS>> = {
  family: 'sw',
  input: 'dense',
  settings: SW_SETTINGS,
  defaults: defaultsOf(SW_SETTINGS),

  async fit(input) {
    const tail = tailOf(input)
    const { hyperparameters } = input
    const kernel = [hyperparameters.prior]
    const heldOut = withKernel(input.models, neighbourTensors(input.train, input, tail), kernel)
    const weights =
      hyperparameters.refit === 1
        ? withKernel(input.models, neighbourTensors(joinRows(input), input, tail), kernel)
        : heldOut
    return { weights, heldOut, hyperparameters, curve: [], backend: 'exact search' }
  },
}
