/** Progress of a long task. Commands in scripts/ show it; lower layers never print. */
export interface Progress {
  readonly stage: string
  readonly done: number
  /** absent if the end is unknown */
  readonly total?: number
  /** one short figure to show, such as a loss */
  readonly note?: string
}

export type OnProgress = (progress: Progress) => void
