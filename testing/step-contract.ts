import { describe, expect, it } from 'vitest'
import { WeirError } from '../core/errors.ts'
import type { Decision, RouteRequest } from '../models/decision/decision.ts'
import { requestText } from '../models/decision/route-request.ts'
import type { GatewayRequest, Planning } from '../serving/gateway/contracts.ts'
import { checkPolicy } from '../serving/policy/check.ts'
import type { LearnedRouter } from '../serving/policy/learned-router.ts'
import { makeSteps, type NamedStep, runSteps, stateMaker } from '../serving/policy/pipeline.ts'
import type { PolicySteps } from '../serving/policy/registry.ts'
import type { PolicyServices, Step, StepPlan, StepResult } from '../serving/policy/step.ts'

export interface StepCase {
  /** the step's name in the registry */
  readonly step: string
  /** of a step from outside: the registry that has it */
  readonly steps?: PolicySteps
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
}: Partial<GatewayRequest> & { readonly model?: string }): GatewayRequest {
  return {
    id: 'request-1',
    body: { model, messages: typeof text === 'string' ? [{ role: 'user', content: text }] : [] },
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
    const checked = checkPolicy(HEAD + given.policy, `${name}.yaml`, given.steps)
    const needs = given.needs ?? { learned: fakeRouter() }
    const stateOf = stateMaker(checked.file, needs)
    const refuseToSend = (): Promise<never> => Promise.reject(new Error('asked a model'))
    const planning = (signal = new AbortController().signal): Planning => ({
      signal,
      send: given.send ?? refuseToSend,
    })
    const named = (): NamedStep => {
      const found = makeSteps(checked, needs).find((each) => each.name === given.step)
      if (!found) throw new Error('the policy has nothing for this step to do')
      return found
    }
    const fresh = async (): Promise<Step> => {
      const step = named().step
      if (given.before) {
        const state = stateOf(requestOf(given.before), planning())
        const decision = await state.learned()
        const options = 'kind' in decision ? {} : { decision }
        const served = state.serve({ models: ['strong'] }, { reason: 'x' }, options)
        if (served?.kind !== 'serve') throw new Error('the first request was not served')
        await step.decide(state)
        step.decided?.(state, { ...served, deciding: { step: 'learned', reason: 'x' } })
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

    it('decides what it is for, and says why', async () => {
      const { result } = await decide(await fresh(), requestOf(given.decides))
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
      await expect(runSteps([{ ...named(), step: await fresh() }], state)).rejects.toThrow('gone')
      expect(asked).toEqual([])
    })

    it('gives up a decision where the client goes meanwhile', async () => {
      const controller = new AbortController()
      const step = await fresh()
      const state = stateOf(requestOf(given.decides), planning(controller.signal))
      const running = runSteps([{ ...named(), step }], state)
      controller.abort(new Error('gone'))
      await expect(running).rejects.toThrow('gone')
    })
  })
}

function planOf(result: StepResult): StepPlan {
  if (result?.kind === 'serve' || result?.kind === 'refuse') return result
  throw new Error(`decided nothing: ${JSON.stringify(result)}`)
}

export interface FakeRouterOptions {
  readonly strong?: string
  readonly weak?: string
  readonly winRate?: () => number
  readonly remote?: boolean
  readonly propensity?: number
  readonly onRoute?: (request: RouteRequest) => void
}

/** A router of one pair that says what it is told to, and refuses what a real one refuses. */
export function fakeRouter(options: FakeRouterOptions = {}): LearnedRouter {
  const { strong = 'strong', weak = 'weak', winRate = () => 0.9, propensity = 1 } = options
  return {
    has: (name) => name === 'r',
    remote: () => options.remote ?? false,
    async route(request): Promise<Decision> {
      options.onRoute?.(request)
      requestText(request)
      const reached = winRate() >= 0.5
      const pair = reached ? [strong, weak] : [weak, strong]
      const allowed = (model: string): boolean => request.models?.includes(model) ?? true
      const models = [...pair.filter(allowed), ...pair.filter((model) => !allowed(model))]
      if (!allowed(models[0]!)) {
        throw new WeirError('candidates_empty', { models: request.models, known: pair })
      }
      return {
        id: 'd',
        object: 'routing.decision',
        created: 0,
        router: { name: 'r', version: 'v' },
        model: models[0]!,
        win_rate: winRate(),
        threshold: request.threshold ?? 0.5,
        calibrated: true,
        candidates: models.map((model, i) => ({
          model,
          score: model === strong ? winRate() : 1 - winRate(),
          eligible: allowed(model),
          reason: 'next',
          est_cost_usd: null,
          propensity: i === 0 ? propensity : 1 - propensity,
        })),
        reason: reached ? 'win_rate_reached' : 'win_rate_below',
        fallback: false,
        fallback_reason: null,
        propensity,
        timing_ms: 0,
        truncated: false,
      }
    },
  }
}
