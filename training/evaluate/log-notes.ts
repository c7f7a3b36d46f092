import type { ModelPair } from '../../models/bundle/with-pair.ts'
import { modelOf, type NamedRouter } from './bundle-set.ts'
import type { LeftOut } from './unseen-rows.ts'

/** What a reader must know of the routers and the log before believing the figures. */
export function notesOn(
  bundles: readonly NamedRouter[],
  pair: ModelPair,
  leftOut: LeftOut,
): string[] {
  const left = describeLeftOut(leftOut)
  return [
    ...(left ? [`left out: ${left}`] : []),
    ...bundles
      .filter(
        ({ router }) =>
          modelOf(router, 'strong') !== pair.strong || modelOf(router, 'weak') !== pair.weak,
      )
      .map(
        ({ name, router }) =>
          `${name} was trained to choose between ${modelOf(router, 'strong')} and ${modelOf(router, 'weak')}`,
      ),
    ...bundles
      .filter(({ seen }) => seen.size === 0)
      .map(
        ({ name }) => `${name} doesn't say what it was trained on: it may have seen these prompts`,
      ),
  ]
}

export function describeLeftOut(leftOut: LeftOut): string {
  const why = {
    train: 'rows that a router was trained on',
    validation: 'it was validated on',
    calibration: 'it was calibrated on',
    reserved: 'that its split rule keeps for other things than the test',
  }
  return Object.entries(leftOut)
    .filter(([, rows]) => rows > 0)
    .map(([part, rows]) => `${rows.toLocaleString('en-US')} ${why[part as keyof LeftOut]}`)
    .join(', ')
}
