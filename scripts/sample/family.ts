import type { Random } from '../../core/random.ts'

/** One simulated prompt before anyone has answered it. */
export interface Draft {
  readonly prompt: string
  /** 0 (anyone can) to 1 (hardly anyone can); every part of it comes from a choice that shows in the text */
  readonly difficulty: number
  /** how long a good answer is, in tokens */
  readonly answerTokens: number
}

/** A kind of task. Skill is the difficulty at which a model is right about half of the time. */
export interface Family {
  readonly name: string
  readonly skill: { readonly strong: number; readonly weak: number }
  draw(random: Random): Draft
}
