import { WeirError } from '../../models/errors.ts'
import { keepBandit, lastBandit, newestBandit } from '../../models/online/bandit-file.ts'
import { OnlineHead, type OnlineHeadOptions } from '../../models/online/online-head.ts'

/** One router version's online head with its states on disk. */
export class KeptHead {
  head: OnlineHead
  private readonly folder: string
  private readonly options: OnlineHeadOptions
  /** of the state that the head goes on from; 0 is the router itself */
  private number: number
  private unkept = 0
  /** something has happened that no state holds yet */
  private moved = false
  private work: Promise<void> = Promise.resolve()

  private constructor(folder: string, options: OnlineHeadOptions, number: number) {
    this.folder = folder
    this.options = options
    this.number = number
    this.head = new OnlineHead(options)
  }

  /** Goes on from the newest state there. @throws state_invalid */
  static async open(folder: string, options: OnlineHeadOptions): Promise<KeptHead> {
    const kept = new KeptHead(folder, options, await newestBandit(folder))
    await kept.adopt()
    return kept
  }

  /** Counts a request: where the budget stands is kept as well, at the latest at the end. */
  spend(dollars: number): void {
    this.moved = true
    this.head.spend(dollars)
  }

  /** Counts an outcome; every so many are kept as a state of their own. */
  learnt(keepEvery: number, onFailure: (error: unknown) => void): void {
    this.moved = true
    if (++this.unkept >= keepEvery) this.keep().catch(onFailure)
  }

  /** Writes what was learnt since the last state, unless that has been taken back meanwhile. */
  keep(): Promise<void> {
    this.unkept = 0
    if (!this.moved) return this.work
    this.moved = false
    return this.inTurn(async () => {
      if (await this.reverted()) await this.adopt()
      else this.number = await keepBandit(this.folder, this.head.state)
    })
  }

  /** Goes back where the newest state has been taken back; what was learnt since goes with it. */
  follow(): Promise<void> {
    return this.inTurn(async () => {
      if (await this.reverted()) await this.adopt()
    })
  }

  private async reverted(): Promise<boolean> {
    return (await newestBandit(this.folder)) < this.number
  }

  private async adopt(): Promise<void> {
    this.number = await newestBandit(this.folder)
    const state = await lastBandit(this.folder)
    const head = new OnlineHead(this.options)
    if (state) {
      try {
        head.restore(state)
      } catch (cause) {
        const reason = (cause as Error).message
        const what = 'an online head of these features'
        throw new WeirError('state_invalid', { path: this.folder, what, reason }, { cause })
      }
    }
    this.head = head
    this.unkept = 0
    this.moved = false
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const next = this.work.then(work)
    this.work = next.catch(() => {})
    return next
  }
}
