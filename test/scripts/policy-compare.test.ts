import { describe, expect, it } from 'vitest'
import { createRandom } from '../../core/random.ts'
import type { FeedbackRecord, GatewayRecord } from '../../records/decision-record.ts'
import { comparePolicies } from '../../scripts/replay/policy-compare.ts'
import type { LoggedRequest } from '../../scripts/replay/rows.ts'

/** Chance of a good answer, by model and how hard the request is. */
const GOOD = { big: { easy: 0.9, hard: 0.8 }, small: { easy: 0.9, hard: 0.4 } } as const
const HARD_SHARE = 0.4
/** `learned` sends the hard ones to big, `rules` all to small; rules gets a third of the sessions. */
const RULES_SHARE = 1 / 3
const TRUTH = {
  learned: (1 - HARD_SHARE) * 0.9 + HARD_SHARE * 0.8,
  rules: (1 - HARD_SHARE) * 0.9 + HARD_SHARE * 0.4,
}

/** Sessions of five requests; those of one session are good or bad together now and then. */
function simulated(seed: number, sessions: number) {
  const random = createRandom(seed)
  const requests: LoggedRequest[] = []
  const feedback: FeedbackRecord[] = []
  for (let s = 0; s < sessions; s++) {
    const policy = random.next() < RULES_SHARE ? 'rules' : 'learned'
    const mood = random.next()
    for (let k = 0; k < 5; k++) {
      const hard = random.next() < HARD_SHARE
      const model = hard && policy === 'learned' ? 'big' : 'small'
      const chance = GOOD[model][hard ? 'hard' : 'easy']
      const drawn = random.next() < 0.5 ? mood : random.next()
      const id = `${s}-${k}`
      const share = policy === 'rules' ? RULES_SHARE : 1 - RULES_SHARE
      const gateway: GatewayRecord = {
        object: 'gateway',
        id,
        time: s * 1000 + k,
        endpoint: 'chat',
        key: 'anyone',
        asked: 'weir',
        step: policy === 'rules' ? 'rule' : 'learned',
        reason: 'matched',
        ...(policy === 'rules' ? { rule: 'all' } : {}),
        policy: { name: policy, hash: 'abc' },
        strategy: 'single',
        targets: [model],
        model,
        propensity: hard ? share : 1,
        attempts: [],
        cost_usd: model === 'big' ? 0.01 : 0.001,
        ms: 1,
        status: 200,
        session_id: `s${s}`,
      }
      requests.push({ id, gateway, decision: undefined, model, step: gateway.step })
      if (random.next() < 0.5) {
        const score = drawn < chance ? 1 : 0
        feedback.push({ object: 'feedback', decision_id: id, score, time: gateway.time + 1 })
      }
    }
  }
  return { requests, feedback }
}

describe('two policies that share requests', () => {
  it('are each worth the truth, and their difference, in about 95 of 100 logs', () => {
    const kept = { score: 0, weighted: 0, difference: 0 }
    let [plain, weighted] = [0, 0]
    const runs = 150
    for (let seed = 0; seed < runs; seed++) {
      const { arms, differences } = comparePolicies(simulated(seed, 200))
      const rules = arms.find(({ policy }) => policy === 'rules@abc')!
      const inside = ({ low, high }: { low: number; high: number }, truth: number): number =>
        low <= truth && truth <= high ? 1 : 0
      kept.score += inside(rules.score!, TRUTH.rules)
      kept.weighted += inside(rules.weighted!, TRUTH.rules)
      kept.difference += inside(differences[0]!, TRUTH.rules - TRUTH.learned)
      plain += rules.score!.high - rules.score!.low
      weighted += rules.weighted!.high - rules.weighted!.low
    }
    for (const count of Object.values(kept)) expect(count / runs).toBeGreaterThan(0.9)
    expect(kept.difference / runs).toBeLessThan(0.995)
    // what both policies would have done alike is known from all requests
    expect(weighted).toBeLessThan(0.85 * plain)
  })

  it('are counted by request, session, dollars and route', () => {
    const log = simulated(1, 50)
    const { arms, differences } = comparePolicies(log)
    expect(arms.map(({ policy }) => policy)).toEqual(['learned@abc', 'rules@abc'])
    expect(arms[0]!.requests + arms[1]!.requests).toBe(250)
    expect(arms[0]!.units + arms[1]!.units).toBe(50)
    expect(arms[1]!.usd).toBeCloseTo(0.001 * arms[1]!.requests, 9)
    expect(arms[1]!.routes).toMatchObject([{ step: 'rule', rule: 'all', model: 'small' }])
    expect(arms[0]!.routes.map(({ model }) => model)).toEqual(['small', 'big'])
    expect(differences[0]).toMatchObject({ policy: 'rules@abc', against: 'learned@abc' })
    expect(arms[0]!.rated + arms[1]!.rated).toBe(log.feedback.length)
  })

  it('take feedback under the decision’s id, and leave out a word on another model', () => {
    const { requests } = simulated(1, 1)
    const one = { ...requests[0]!.gateway!, decision_id: 'd', model: 'small' }
    const said = (more: object): FeedbackRecord => ({
      object: 'feedback',
      decision_id: 'd',
      score: 0,
      time: 1,
      ...more,
    })
    const { arms } = comparePolicies({
      requests: [{ ...requests[0]!, gateway: one }],
      feedback: [said({ score: 1 }), said({ model: 'small', score: 0.5 }), said({ model: 'big' })],
    })
    expect(arms[0]!.score!.value).toBe(0.75)
    expect(arms[0]!.score!.low).toBe(-Infinity)
  })
})
