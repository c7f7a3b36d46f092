import { describe, expect, it } from 'vitest'
import type { GatewayRequest, Plan, Planning } from '../../../serving/gateway/contracts.ts'

import { checkPolicy } from '../../../serving/policy/check.ts'
import { runSteps, stateMaker } from '../../../serving/policy/pipeline.ts'
import type { PolicyServices, Step, StepFactory, StepResult } from '../../../serving/policy/step.ts'

import { fakeRouter } from './fake-router.ts'

export interface StepCase {
  readonly factory: StepFactory
  /** a policy whose models are `strong`, `weak` and `private`, with something for the step to do */
  readonly policy: string
  readonly needs?: PolicyServices
  /** a request that the step decides, of a fresh policy */
  readonly decides: Partial<GatewayRequest> & { readonly text: string; readonly model?: string }
  /** sent before `decides`, for steps that remember */
  readonly before?: Partial<GatewayRequest> & { readonly text: string }
  /** what a model that the step asks answers */
  readonly send?: Planning['send']
  /** a step that decides about requests whose models are closed: none of its plans serves */
  readonly refuses?: true
}

export const HEAD = `
version: 1
models: { strong: { context: 1000 }, weak: {}, private: { private: true } }
routes: { both: { models: [strong, weak, private], description: all }, open: { models: [strong, weak], description: some } }
privacy: { tags: [secret] }
`

export function requestOf({
  text,
  model = 'weir',
  ...more
}: Partial<GatewayRequest> & {
  readonly text?: string
  readonly model?: string
}): GatewayRequest {
  return {
    id: 'request-1',
    body: { model, messages: text === undefined ? [] : [{ role: 'user', content: text }] },
    caller: { name: 'key' },
    headers: {},
    hints: {},
    time: 1_700_000_000_000,
    ...more,
  }
}

const SECRET = { metadata: { tags: ['secret'] } }

/** Requests that clients do send. */
const ODD: readonly GatewayRequest['body']['messages'][] = [
  [],
  [{ role: 'user', content: '' }],
  [{ role: 'user', content: null }],
  [{ role: 'assistant', tool_calls: [{ id: 'x' }] }],
  [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:' } }] }],
  [{ role: 'user', content: [] }],
  [{ role: 'tool', content: '\u0000\ud800 ` $^(((' }],
  [{ role: 'user', content: 'a'.repeat(200_000) }],
]

/** The one suite that every step passes. */
export function describeStepContract(name: string, given: StepCase): void {
  describe(`${name} keeps the step contract:`, () => {
    const checked = checkPolicy(HEAD + given.policy, `${name}.yaml`)
    const needs = given.needs ?? { learned: fakeRouter() }
    const stateOf = stateMaker(checked.file, needs)
    const refuseToSend = (): Promise<never> => Promise.reject(new Error('asked a model'))
    const planning = (signal = new AbortController().signal): Planning => ({
      signal,
      send: given.send ?? refuseToSend,
    })
    const fresh = async (): Promise<Step> => {
      const step = given.factory(checked, needs)
      if (!step) throw new Error('the policy has nothing for this step to do')
      if (given.before) {
        const state = stateOf(requestOf(given.before), planning())
        const decision = await state.learned()
        const options = 'kind' in decision ? {} : { decision }
        const deciding = { step: 'learned', reason: 'x' }
        await step.decide(state)
        step.decided?.(state, state.serve({ models: ['strong'] }, deciding, options)!)
      }
      return step
    }
    const decide = async (
      step: Step,
      request: GatewayRequest,
    ): Promise<{ readonly result: StepResult; readonly open: readonly string[] }> => {
      const state = stateOf(request, planning())
      return { result: await step.decide(state), open: state.open }
    }

    it('decides what it is for, and says its name', async () => {
      const { result } = await decide(await fresh(), requestOf(given.decides))
      expect(planOf(result).deciding.step).toBe((await fresh()).name)
      expect(planOf(result).deciding.reason).toMatch(/^[a-z_]+$/)
      if (given.refuses) expect(planOf(result).kind).toBe('refuse')
    })

    it('decides the same of the same request', async () => {
      const step = await fresh()
      const first = await decide(step, requestOf(given.decides))
      expect(await decide(step, requestOf(given.decides))).toEqual(first)
      expect(await decide(await fresh(), requestOf(given.decides))).toEqual(first)
    })

    it('serves no model that hard limits closed, whatever it is asked', async () => {
      const step = await fresh()
      for (const model of ['weir', 'weir/both', 'weir/open', 'strong', 'weak', 'private']) {
        for (const hints of [SECRET, { models: ['weak'] }, { models: ['nobody'] }, {}]) {
          const asked = { ...given.decides, hints: { ...given.decides.hints, ...hints }, model }
          const { result, open } = await decide(step, requestOf(asked))
          if (result?.kind !== 'serve') continue
          expect(result.targets.length).toBeGreaterThan(0)
          for (const target of result.targets) expect(open).toContain(target.model)
        }
      }
    })

    it('throws for no request, however odd', async () => {
      const step = await fresh()
      for (const messages of ODD) {
        for (const hints of [{}, SECRET]) {
          const request = { ...requestOf(given.decides), hints }
          await decide(step, { ...request, body: { ...request.body, messages } })
        }
      }
    })

    it('does nothing for a client that has gone', async () => {
      const controller = new AbortController()
      controller.abort(new Error('gone'))
      const asked: unknown[] = []
      const state = stateMaker(checked.file, {
        ...needs,
        learned: { ...fakeRouter(), route: (request) => Promise.reject(asked.push(request)) },
      })(requestOf(given.decides), {
        signal: controller.signal,
        send: (...call) => Promise.reject(asked.push(call)),
      })
      await expect(runSteps([await fresh()], state)).rejects.toThrow('gone')
      expect(asked).toEqual([])
    })

    it('gives up a decision where the client goes meanwhile', async () => {
      const controller = new AbortController()
      const step = await fresh()
      const state = stateOf(requestOf(given.decides), planning(controller.signal))
      const running = runSteps([step], state)
      controller.abort(new Error('gone'))
      await expect(running).rejects.toThrow('gone')
    })
  })
}

function planOf(result: StepResult): Plan {
  if (result?.kind === 'serve' || result?.kind === 'refuse') return result
  throw new Error(`decided nothing: ${JSON.stringify(result)}`)
}
