import type { Random } from '../../core/random.ts'

/** One simulated prompt before it is answered. */
export interface Draft {
  readonly prompt: string
  /**
   * 0 (easy for any model) to 1 (too hard for nearly all); every part of it comes from a choice visible in
   * the text
   */
  readonly difficulty: number
  /** length of a good answer, in tokens */
  readonly answerTokens: number
}

/** A kind of task. Skill is the difficulty at which a model is right about half of the time. */
export interface Family {
  readonly name: string
  readonly skill: { readonly strong: number; readonly weak: number }
  draw(random: Random): Draft
}
