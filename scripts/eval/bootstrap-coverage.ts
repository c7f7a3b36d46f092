import { createRandom, deriveSeed } from '../../core/random.ts'
import { percentileInterval } from '../../core/stats/intervals.ts'
import { bootstrapRouters } from '../../training/evaluate/bootstrap/bootstrap.ts'
import { measureRouters } from '../../training/evaluate/bootstrap/measure-routers.ts'
import { layOut, sampleSums } from '../../training/evaluate/metrics/curve-pass.ts'

import { sortScores } from '../../training/evaluate/metrics/score-order.ts'

/**
 * `npm run eval:bootstrap`: how often the 95% intervals of APGR, and of the difference between two routers,
 * contain the true value: the APGR on a population of two million prompts from the same distribution.
 */
const SAMPLES = Number(process.env.SAMPLES ?? 2_000)
const ROWS = [300, 1_000] as const
const REPLICATES = 400
const POPULATION = 2_000_000

interface Draw {
  readonly gain: Float64Array
  readonly good: Float64Array
  readonly poor: Float64Array
}

/** Difficulty d; strong right with .95 - .2d, weak with .95 - .8d; two routers that see d through noise. */
function draw(rows: number, seed: number): Draw {
  const random = createRandom(seed)
  const gain = new Float64Array(rows)
  const good = new Float64Array(rows)
  const poor = new Float64Array(rows)
  for (let i = 0; i < rows; i++) {
    const d = random.next()
    gain[i] = Number(random.next() < 0.95 - 0.2 * d) - Number(random.next() < 0.95 - 0.8 * d)
    good[i] = d + 0.3 * random.normal()
    // few distinct scores, so that there are ties
    poor[i] = Math.round(4 * (d + 0.6 * random.normal())) / 4
  }
  return { gain, good, poor }
}

async function apgrs({ gain, good, poor }: Draw): Promise<readonly [number, number]> {
  const scored = [
    { name: 'good', scores: good },
    { name: 'poor', scores: poor },
  ]
  const [a, b] = await measureRouters(scored, {
    gain,
    clear: true,
    bands: false,
    replicates: 1,
    seed: 1,
  })
  return [a!.apgr, b!.apgr]
}

const [trueGood, truePoor] = await apgrs(draw(POPULATION, deriveSeed(1, 'population')))
const figures: Record<string, number> = { apgr_good: trueGood, apgr_poor: truePoor }
for (const rows of ROWS) {
  let held = 0
  let heldDifference = 0
  const extra = new Float64Array(rows).fill(1)
  for (let s = 0; s < SAMPLES; s++) {
    const sample = draw(rows, deriveSeed(s, `sample of ${rows}`))
    const routers = [sample.good, sample.poor].map((scores) => ({
      router: layOut('', sortScores(scores), sample.gain),
      extra,
    }))
    const [a, b] = await bootstrapRouters({
      routers,
      sums: (counts) => sampleSums(counts, sample.gain, undefined, undefined),
      bands: false,
      clear: true,
      replicates: REPLICATES,
      seed: s,
    })
    const good = percentileInterval(trueGood, a!.apgr)
    const difference = percentileInterval(
      trueGood - truePoor,
      a!.apgr.map((value, i) => value - b!.apgr[i]!),
    )
    if (good.low! <= trueGood && trueGood <= good.high!) held += 1
    if (difference.low! <= difference.value! && difference.value! <= difference.high!) {
      heldDifference += 1
    }
  }
  figures[`coverage_apgr_${rows}`] = held / SAMPLES
  figures[`coverage_difference_${rows}`] = heldDifference / SAMPLES
}
if (process.argv.includes('--json'))
  console.log(JSON.stringify({ samples: SAMPLES, replicates: REPLICATES, figures }))
else {
  console.log(
    `${SAMPLES} samples, ${REPLICATES} bootstrap replicates each; a 95% interval should hold the truth in 95%`,
  )
  for (const [name, value] of Object.entries(figures))
    console.log(`${name.padEnd(26)} ${value.toFixed(3)}`)
}
