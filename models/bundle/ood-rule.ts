import Type from 'typebox'

/**
 * What happens to a prompt that is unlike the training prompts. `clip`: nothing but that its features are held to
 * the range of training; `strong`, `weak`: that model; `share`: the strong model with the calibrated share as
 * its probability, so that nobody gains by odd text.
 */
export const OodRule = Type.Object(
  {
    answer: Type.Union([
      Type.Literal('clip'),
      Type.Literal('strong'),
      Type.Literal('weak'),
      Type.Literal('share'),
    ]),
    /** unlike more than this share of the training prompts (default .99) */
    above: Type.Optional(Type.Number({ minimum: 0.5, maximum: 1 })),
  },
  { additionalProperties: false },
)
export type OodRule = Type.Static<typeof OodRule>

const DEFAULT_ABOVE = 0.99

/** Whether a prompt is unlike the training prompts, by its score and a bundle's or a server's rule. */
export const isOod = (ood: number | undefined, rule: OodRule | undefined): boolean =>
  ood !== undefined && ood > (rule?.above ?? DEFAULT_ABOVE)
