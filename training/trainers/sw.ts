import type { Trainer } from '../trainer.ts'
import { joinRows, tailOf, withKernel } from './knn.ts'
import { neighbourTensors } from './neighbour-rows.ts'

/** Similarity-weighted Bradley-Terry has nothing to fit: it keeps the pair's rows, and `prior` votes of its own. */
export const swTrainer: Trainer = {
  family: 'sw',
  input: 'dense',
  defaults: { prior: 0, tail: 0, refit: 1 },

  async fit(input) {
    const tail = tailOf(input)
    const { hyperparameters } = input
    const kernel = [hyperparameters.prior!]
    const heldOut = withKernel(input.models, neighbourTensors(input.train, input, tail), kernel)
    const weights =
      hyperparameters.refit === 1
        ? withKernel(input.models, neighbourTensors(joinRows(input), input, tail), kernel)
        : heldOut
    return { weights, heldOut, hyperparameters, curve: [], backend: 'exact search' }
  },
}
