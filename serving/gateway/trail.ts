/** How an answer did in one check of a strategy. */
export interface CheckScore {
  /** the check's own name, or its kind */
  readonly check: string
  /** the model whose answer it was */
  readonly model: string
  /** in [0, 1], higher is better; null where none could be taken */
  readonly score: number | null
  /** least score that passes; absent where the check only says yes or no */
  readonly threshold?: number
  readonly passed: boolean
}

/** What a strategy leaves behind of what it did: for the answer's headers, for logs and for calibration. */
export class Trail {
  /** a few short words of what was done; names and text values are plain ASCII without `;` and `=` */
  readonly notes = new Map<string, string | number>()
  readonly checks: CheckScore[] = []
}
