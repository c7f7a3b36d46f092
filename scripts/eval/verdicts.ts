import { createRandom, deriveSeed } from '../../core/random.ts'
import { sampleMeanInterval } from '../../core/stats/intervals.ts'
import { differenceOf } from '../../training/evaluate/bootstrap/difference.ts'
import { measureRouters } from '../../training/evaluate/bootstrap/measure-routers.ts'
import { verdictOf } from '../../training/evaluate/report/verdict.ts'

/**
 * `npm run eval:verdicts`: how often an evaluation says "beats prompt length", over 10,000 simulated evaluations
 * (`EVALUATIONS`) of 300 or 600 prompts: of a router exactly as good as prompt length, of a coin against a coin, and of a
 * router that is better by four standard errors. Ends with 1 if a false "beats" is said in more than 2.5% and two
 * standard errors, or the true advantage is named in under 90%.
 */
const EVALUATIONS = Number(process.env.EVALUATIONS ?? 10_000)
const REPLICATES = 400
interface World {
  readonly rows: number
  /** of the scores around the difficulty; 1e9 is a coin */
  readonly router: number
  readonly length: number
}
const WORLDS: Readonly<Record<string, World>> = {
  equal: { rows: 300, router: 0.3, length: 0.3 },
  coins: { rows: 300, router: 1e9, length: 1e9 },
  ahead: { rows: 600, router: 0.05, length: 0.86 },
}

interface Found {
  readonly value: number
  readonly beats: boolean
}

/** Difficulty d; strong right with .95 - .2d, weak with .95 - .8d; router and length see d through noise. */
async function evaluation(seed: number, { rows, router, length }: World): Promise<Found> {
  const random = createRandom(seed)
  const gain = new Float64Array(rows)
  const scores = [new Float64Array(rows), new Float64Array(rows)] as const
  for (let i = 0; i < rows; i++) {
    const d = random.next()
    gain[i] = Number(random.next() < 0.95 - 0.2 * d) - Number(random.next() < 0.95 - 0.8 * d)
    scores[0][i] = d + router * random.normal()
    scores[1][i] = d + length * random.normal()
  }
  const gap = sampleMeanInterval(gain)
  const [its, free] = await measureRouters(
    [
      { name: 'router', scores: scores[0] },
      { name: 'prompt_length', scores: scores[1] },
    ],
    { gain, clear: gap.low! > 0, bands: false, replicates: REPLICATES, seed },
  )
  const versus = differenceOf(its!, free!)
  const { words } = verdictOf(rows, gap, its!.report.apgr, versus)
  return { value: versus.value ?? Number.NaN, beats: words.startsWith('beats') }
}

const figures: Record<string, object> = {}
let failed = false
for (const [name, world] of Object.entries(WORLDS)) {
  const found: Found[] = []
  for (let e = 0; e < EVALUATIONS; e++) {
    found.push(await evaluation(deriveSeed(e, `verdict ${name}`), world))
  }
  const values = found.map(({ value }) => value).filter((value) => !Number.isNaN(value))
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const error = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length)
  const share = found.filter(({ beats }) => beats).length / EVALUATIONS
  const most = 0.025 + 2 * Math.sqrt((0.025 * 0.975) / EVALUATIONS)
  failed ||= name === 'ahead' ? share < 0.9 : share > most
  figures[name] = {
    evaluations: EVALUATIONS,
    standard_errors: Number((mean / error).toFixed(2)),
    says_beats: share,
  }
}
process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`)
if (failed) process.exitCode = 1
