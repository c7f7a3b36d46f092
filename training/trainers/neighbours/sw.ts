import Type, { type Static } from 'typebox'
import { defaultsOf, neighbourSettings, real } from '../settings.ts'
import type { Trainer } from '../trainer.ts'
import { keptRows, tailOf } from './knn.ts'
import { neighbourTensors } from './neighbour-rows.ts'

const SW_SETTINGS = Type.Object({
  prior: real(0, 'weight of the mean over all prompts, in votes', {
    minimum: 0,
    search: { among: [0, 0.1, 1, 10, 100] },
  }),
  ...neighbourSettings('store the validation rows as well, once the settings are chosen'),
})

/** Similarity-weighted Bradley-Terry has nothing to fit: it stores the pair's rows and the weight of the prior. */
export const swTrainer: Trainer<Static<typeof SW_SETTINGS>> = {
  family: 'sw',
  input: 'dense',
  settings: SW_SETTINGS,
  defaults: defaultsOf(SW_SETTINGS),

  async fit(input) {
    const tensors = neighbourTensors(input.train, input, tailOf(input))
    const kept = keptRows(input, tensors, [input.hyperparameters.prior])
    return { ...kept, curve: [], backend: 'exact search' }
  },
}
