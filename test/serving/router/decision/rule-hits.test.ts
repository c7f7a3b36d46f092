import { afterEach, describe, expect, test } from 'vitest'
import { WeirError } from '../../../../core/errors.ts'
import type { Decision } from '../../../../models/decision/decision.ts'
import { loadRouter } from '../../../../models/router.ts'
import { loadWordEncoder } from '../../../models/word-encoder.ts'
import { type SampleApp, type SampleAppOptions, sampleApp } from '../../sample-app.ts'

let sample: SampleApp | undefined
afterEach(async () => {
  await sample?.close()
  sample = undefined
})

async function explained(options: SampleAppOptions, body: object): Promise<Decision> {
  sample = await sampleApp(options)
  const answer = await sample.app.inject({
    method: 'POST',
    url: '/route',
    payload: { prompt: 'hello', explain: true, ...body },
  })
  expect(answer.statusCode).toBe(200)
  return answer.json<Decision>()
}

const hits = ({ explanation }: Decision, step: string) =>
  explanation!.rules!.filter((rule) => rule.step === step)

describe('what decided beside the score', () => {
  test('is nothing where a score alone decided', async () => {
    expect((await explained({}, {})).explanation!.rules).toEqual([])
  })

  test('names the models that an allow-list leaves out', async () => {
    const decision = await explained({}, { models: ['big'] })
    expect(hits(decision, 'allow_list')).toEqual([
      { step: 'allow_list', matched: true, reason: 'leaves out small' },
    ])
    const all = await explained({}, { models: ['big', 'small'] })
    expect(hits(all, 'allow_list')[0]!.matched).toBe(false)
  })

  test('names the arm of a split with its share, and the shadows that had no say', async () => {
    const decision = await explained(
      {
        bundles: [{ name: 'one' }, { name: 'two', seed: 2 }, { name: 'three', seed: 3 }],
        config: () => ({
          splits: {
            both: [
              { router: 'one', weight: 3 },
              { router: 'two', weight: 1 },
            ],
          },
          shadows: [{ of: 'both', router: 'three' }],
        }),
      },
      { router: 'both', session_id: 'a' },
    )
    const { name, version } = decision.router
    const share = name === 'one' ? '75%' : '25%'
    expect(hits(decision, 'split')).toEqual([
      {
        step: 'split',
        name: `${name}@${version}`,
        matched: true,
        reason: `${share} of the sessions of both`,
      },
    ])
    expect(hits(decision, 'shadow')).toMatchObject([
      { name: expect.stringMatching(/^three@/), matched: false },
    ])
  })

  test('says whose threshold it was', async () => {
    const decision = await explained({}, { threshold: 0.125 })
    expect(hits(decision, 'threshold')[0]!.reason).toBe('0.125 by the request, in place of 0.5')
  })

  test('says whether exploration turned the choice', async () => {
    const decision = await explained({ config: () => ({ exploration: { floor: 0.5 } }) }, {})
    const [hit] = hits(decision, 'explore')
    expect(hit!.matched).toBe(decision.reason === 'explored')
    expect(hit!.reason).toContain(String(decision.propensity))
  })

  test('says that the fallback answered, and keeps the decision where nothing can be explained', async () => {
    const decision = await explained(
      {
        services: {
          load: async (path) => {
            const router = await loadRouter(path, { loadEncoder: loadWordEncoder })
            const error = new WeirError('encoder_unavailable', { encoder: 'words', reason: 'down' })
            return {
              ...router,
              scoreNow: undefined,
              // not at once: a version that cannot score is not loaded
              score: async (prompts) => {
                if (prompts.includes('hello')) throw error
                return router.score(prompts)
              },
              explain: async () => {
                throw error
              },
            }
          },
        },
      },
      {},
    )
    expect(decision).toMatchObject({ model: 'big', reason: 'fallback' })
    expect(decision.explanation).toMatchObject({
      features: [],
      note: expect.stringMatching(/cannot run here/),
    })
    expect(hits(decision, 'fallback')).toEqual([
      { step: 'fallback', matched: true, reason: 'encoder_failed' },
    ])
  })
})
