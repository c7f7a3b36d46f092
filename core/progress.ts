/** How far a long piece of work has come. Commands in scripts/ show it; nothing below them prints. */
export interface Progress {
  readonly stage: string
  readonly done: number
  /** absent where the end is not known */
  readonly total?: number
  /** one short figure worth showing, such as a loss */
  readonly note?: string
}

export type OnProgress = (progress: Progress) => void
