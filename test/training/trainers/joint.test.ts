import { expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { DenseEmbeddings } from '../../../models/encoders/embeddings.ts'
import { classifier } from '../../../models/families/classifier.ts'
import { mf } from '../../../models/families/mf.ts'
import { mlp } from '../../../models/families/mlp.ts'
import { createEngine } from '../../../training/engine/engines.ts'
import { classifierTrainer } from '../../../training/trainers/heads/classifier.ts'
import { mfTrainer } from '../../../training/trainers/heads/mf.ts'
import { mlpTrainer } from '../../../training/trainers/heads/mlp.ts'
import type { Trainer, TrainingRows } from '../../../training/trainers/trainer.ts'

const PAIR = { strong: 0, weak: 1 }

/** Scores on prompts whose first number is above 0, votes on the others; `won` is how often the strong model wins. */
function mixed(seed: number, won: number): TrainingRows {
  const random = createRandom(seed)
  const n = 600
  const values = Float32Array.from({ length: 2 * n }, () => random.normal())
  const embeddings: DenseEmbeddings = { kind: 'dense', rows: n, dimension: 2, values }
  const scores = new Float32Array(2 * n).fill(Number.NaN)
  const voted: number[] = []
  for (let i = 0; i < n; i++) {
    if (values[2 * i]! < 0) voted.push(i)
    else scores.set([Number(random.next() < 0.8), Number(random.next() < 0.6)], 2 * i)
  }
  return {
    embeddings,
    outcomes: { scores },
    preferences: {
      prompt: Int32Array.from(voted),
      modelA: new Int32Array(voted.length),
      modelB: new Int32Array(voted.length).fill(1),
      label: Float32Array.from(voted, () => Number(random.next() < won)),
      weight: new Float32Array(voted.length).fill(1),
    },
  }
}

/** Mean win rate on the prompts that were voted on, and the quality of the weak model on the scored ones. */
async function fitted(
  { family, trainer, settings }: Fitted,
  won: number,
): Promise<{ voted: number; weak: number }> {
  const engine = await createEngine('onnx')
  const train = mixed(1, won)
  const { weights } = await trainer.fit({
    models: ['big', 'small'],
    ...PAIR,
    train,
    validation: mixed(2, won),
    hyperparameters: { ...trainer.defaults, ...settings },
    seed: 1,
    engine,
    threads: 1,
  })
  await engine.close()
  const { winRate, quality } = family.forward(weights, PAIR, train.embeddings)
  const scored = (i: number): boolean => !Number.isNaN(train.outcomes!.scores[2 * i]!)
  const mean = (values: ArrayLike<number>): number =>
    Array.from(values).reduce((sum, x) => sum + x, 0) / values.length
  return {
    voted: mean(winRate.filter((_, i) => !scored(i))),
    weak: mean(quality!.filter((_, k) => k % 2 === 1 && scored(k >> 1))),
  }
}

const DESCENT = { epochs: 12, batch_size: 32, learning_rate: 1e-2 }
const FITTED = {
  classifier: { family: classifier, trainer: classifierTrainer as Trainer, settings: {} },
  mlp: { family: mlp, trainer: mlpTrainer as Trainer, settings: { ...DESCENT, hidden: 8 } },
  mf: {
    family: mf,
    trainer: mfTrainer as Trainer,
    settings: { ...DESCENT, rank: 8, form: 'success' },
  },
}
type Fitted = (typeof FITTED)[keyof typeof FITTED]

test.each(Object.entries(FITTED))(
  '%s: votes beside scores move the win rates of their prompts, and turned round the other way',
  async (_, of) => {
    const [often, seldom] = [await fitted(of, 0.9), await fitted(of, 0.1)]
    expect(often.voted).toBeGreaterThan(0.6)
    expect(seldom.voted).toBeLessThan(0.5)
    // scores still say how good each model is
    expect(Math.abs(often.weak - 0.6)).toBeLessThan(0.12)
  },
)
