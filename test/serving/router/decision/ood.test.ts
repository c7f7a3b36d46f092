import { afterEach, describe, expect, it } from 'vitest'
import type { OodRule } from '../../../../models/bundle/ood-rule.ts'
import type { Encoder } from '../../../../models/encoders/encoder.ts'
import { loadRouter, type RouterOptions } from '../../../../models/router.ts'
import { loadWordEncoder } from '../../../models/word-encoder.ts'
import { type SampleApp, sampleApp } from '../../sample-app.ts'

/** The word encoder, for which every prompt with "odd" in it is unlike the training prompts. */
const loadEncoder: NonNullable<RouterOptions['loadEncoder']> = async (
  spec,
  folder,
): Promise<Encoder> => {
  const words = await loadWordEncoder(spec)
  expect(folder).not.toBe('')
  return {
    ...words,
    encode: async (prompts) => ({
      ...(await words.encode(prompts)),
      ood: Float32Array.from(prompts, (prompt) => (prompt.includes('odd') ? 0.9975 : 0.5)),
    }),
  }
}

let sample: SampleApp | undefined
afterEach(() => sample?.close())

async function open(ood?: OodRule): Promise<void> {
  sample = await sampleApp({
    services: { load: (path) => loadRouter(path, { loadEncoder, ood }) },
  })
}

const route = async (prompt: string, more: object = {}) =>
  (await sample!.app.inject({ method: 'POST', url: '/route', payload: { prompt, ...more } })).json()

const HARD = 'prove it'
const EASY = 'hello'

describe('a prompt unlike the training prompts', () => {
  it('is decided by its win rate and counted, where nothing else is said', async () => {
    await open()
    expect(await route(`${HARD} odd`)).toMatchObject({ model: 'big', reason: 'win_rate_reached' })
    expect(await route(`${EASY} odd`)).toMatchObject({ model: 'small', reason: 'win_rate_below' })
    expect(await route(EASY)).toMatchObject({ model: 'small', ood: 0.5 })
    const { body } = await sample!.app.inject('/metrics')
    expect(body).toContain('weir_out_of_distribution_total{router="sample"} 2\n')
  })

  it.each(['strong', 'weak'] as const)(
    'goes %s where that is asked for, as others do not',
    async (answer) => {
      await open({ answer })
      const reason = 'out_of_distribution'
      const model = answer === 'strong' ? 'big' : 'small'
      for (const prompt of [HARD, EASY]) {
        expect(await route(`${prompt} odd`)).toMatchObject({ model, reason, ood: 0.9975 })
      }
      expect((await route(HARD)).model).toBe('big')
      expect((await route(EASY)).model).toBe('small')
    },
  )

  it('goes strong as often as calibrated, by the prompt alone, where nobody is to gain', async () => {
    await open({ answer: 'share' })
    const models: string[] = []
    for (let i = 0; i < 200; i++) models.push((await route(`${EASY} odd ${i}`)).model)
    const strong = models.filter((model) => model === 'big').length
    // half before any calibration
    expect(strong).toBeGreaterThan(75)
    expect(strong).toBeLessThan(125)
    expect((await route(`${EASY} odd 7`)).model).toBe(models[7])
  })

  it('is counted from the share that is asked for', async () => {
    await open({ answer: 'strong', above: 0.999 })
    expect(await route(`${EASY} odd`)).toMatchObject({ model: 'small', reason: 'win_rate_below' })
  })

  it('keeps to the models that the request allows', async () => {
    await open({ answer: 'strong' })
    expect(await route(`${EASY} odd`, { models: ['small'] })).toMatchObject({
      model: 'small',
      reason: 'only_allowed',
    })
  })

  it('is explained', async () => {
    await open({ answer: 'strong' })
    const { explanation } = await route(`${EASY} odd`, { explain: true })
    expect(explanation.rules).toContainEqual({
      step: 'out_of_distribution',
      matched: true,
      reason: 'unlike 99.8% of the training prompts: big by the rule for these',
    })
  })
})
