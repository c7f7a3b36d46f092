import { binOf, CategoryAlarm } from './category-alarm.ts'
import { type Alarms, DEFAULT_REFERENCE_ROWS, DEFAULT_RUN_LENGTH } from './config.ts'
import { type EmbeddingCells, embeddingCells } from './embedding-cells.ts'
import { MeanAlarm } from './mean-alarm.ts'

export type WatchName = 'win_rate' | 'embedding' | 'strong_share' | 'cost' | 'out_of_distribution'

const TENTHS = 10
const CELLS = 16
/** change of the strong share, and of cost on its scale, to be detected soonest */
const SHARE_SHIFT = 0.1
/** rise of the share of prompts unlike the training prompts, to be detected soonest */
const OOD_SHIFT = 0.05
const COST_SHIFT = 0.1
/** costs above this multiple of the reference mean count as the multiple */
const COST_CAP = 4

/**
 * The reference of one router version's traffic, learnt from its first decisions (or, for win rates, taken
 * from its certificate), and alarms on everything after.
 */
export class RouterWatch {
  private readonly rows: number
  private readonly runLength: number
  private readonly winRates: number[] = []
  private readonly embedded: Float32Array[] = []
  private readonly costs: number[] = []
  private strong = 0
  private decided = 0
  private odd = 0
  private judged = 0
  private cuts: readonly number[] | undefined
  private cells: EmbeddingCells | undefined
  private costScale = 0
  private readonly alarms = new Map<WatchName, CategoryAlarm | readonly MeanAlarm[]>()

  /** @param quantiles of the calibration's win rates, evenly spaced, if there is a certificate */
  constructor(
    config: Alarms,
    quantiles?: { readonly values: readonly number[]; readonly rows: number },
  ) {
    this.rows = config.reference_rows ?? DEFAULT_REFERENCE_ROWS
    this.runLength = config.run_length ?? DEFAULT_RUN_LENGTH
    if (quantiles && quantiles.values.length > TENTHS) {
      this.watchWinRates(Float64Array.from(quantiles.values).sort(), quantiles.rows)
    }
  }

  /** @returns the alarms that fire now */
  decision(winRate: number, strong: boolean): WatchName[] {
    const off: WatchName[] = []
    if (this.cuts) {
      if (this.categories('win_rate')?.add(binOf(winRate, this.cuts))) off.push('win_rate')
    } else {
      this.winRates.push(winRate)
      if (this.winRates.length === this.rows) {
        this.watchWinRates(Float64Array.from(this.winRates).sort(), this.rows)
      }
    }
    const share = this.alarms.get('strong_share')
    if (!share) {
      this.decided++
      if (strong) this.strong++
      if (this.decided === this.rows) {
        this.alarms.set('strong_share', this.bothWays(this.strong / this.rows, SHARE_SHIFT))
      }
    } else if (this.means('strong_share').some((alarm) => alarm.add(strong ? 1 : 0))) {
      off.push('strong_share')
    }
    return off
  }

  /** @returns the alarm, if it fires now */
  outOfDistribution(odd: boolean): WatchName[] {
    const [alarm] = this.means('out_of_distribution')
    if (alarm) return alarm.add(Number(odd)) ? ['out_of_distribution'] : []
    this.judged++
    this.odd += Number(odd)
    if (this.judged < this.rows) return []
    const options = {
      // a share that never occurred is not 0 for that
      reference: (this.odd + 1) / (this.rows + 2),
      referenceRows: this.rows,
      shift: OOD_SHIFT,
      direction: 'rise',
      runLength: this.runLength,
    } as const
    this.alarms.set('out_of_distribution', [new MeanAlarm(options)])
    return []
  }

  embedding(row: Float32Array): WatchName[] {
    if (this.cells) {
      return this.categories('embedding')?.add(this.cells.cellOf(row)) ? ['embedding'] : []
    }
    this.embedded.push(row.slice())
    if (this.embedded.length < this.rows) return []
    const values = new Float32Array(this.rows * row.length)
    this.embedded.forEach((one, i) => {
      values.set(one, i * row.length)
    })
    this.cells = embeddingCells(values, row.length, CELLS, 1)
    const reference = new Float64Array(CELLS)
    for (const one of this.embedded.splice(0)) reference[this.cells.cellOf(one)]! += 1 / this.rows
    this.alarms.set('embedding', this.ofCategories(reference, this.rows))
    return []
  }

  cost(usd: number): WatchName[] {
    if (this.costScale > 0) {
      const value = Math.min(1, usd / this.costScale)
      return this.means('cost').some((alarm) => alarm.add(value)) ? ['cost'] : []
    }
    this.costs.push(usd)
    if (this.costs.length < this.rows) return []
    const mean = this.costs.reduce((sum, x) => sum + x, 0) / this.rows
    this.costScale = Math.max(1e-12, COST_CAP * mean)
    const usual =
      this.costs.reduce((sum, x) => sum + Math.min(1, x / this.costScale), 0) / this.rows
    this.costs.length = 0
    this.alarms.set('cost', this.bothWays(usual, COST_SHIFT))
    return []
  }

  /** How near each alarm is to firing, 0 to 1. */
  levels(): [WatchName, number][] {
    return [...this.alarms].map(([name, alarm]) => [
      name,
      alarm instanceof CategoryAlarm ? alarm.level : Math.max(...alarm.map(({ level }) => level)),
    ])
  }

  private watchWinRates(sorted: Float64Array, rows: number): void {
    const cuts = Array.from(
      { length: TENTHS - 1 },
      (_, i) => sorted[Math.floor(((i + 1) / TENTHS) * sorted.length)]!,
    )
    const reference = new Float64Array(TENTHS)
    for (const value of sorted) reference[binOf(value, cuts)]! += 1 / sorted.length
    this.cuts = cuts
    this.winRates.length = 0
    this.alarms.set('win_rate', this.ofCategories(reference, rows))
  }

  private ofCategories(reference: Float64Array, referenceRows: number): CategoryAlarm {
    return new CategoryAlarm({ reference, referenceRows, runLength: this.runLength })
  }

  /** Each direction gets half of the false alarms. */
  private bothWays(reference: number, shift: number): readonly MeanAlarm[] {
    return (['fall', 'rise'] as const).map(
      (direction) =>
        new MeanAlarm({
          reference,
          referenceRows: this.rows,
          shift,
          direction,
          runLength: 2 * this.runLength,
        }),
    )
  }

  private categories(name: WatchName): CategoryAlarm | undefined {
    const alarm = this.alarms.get(name)
    return alarm instanceof CategoryAlarm ? alarm : undefined
  }

  private means(name: WatchName): readonly MeanAlarm[] {
    const alarm = this.alarms.get(name)
    return alarm && !(alarm instanceof CategoryAlarm) ? alarm : []
  }
}
