import fastify from 'fastify'
import { Decision, RouteRequest } from '../../models/decision/decision.ts'
import { compileValidator } from '../../serving/server/validator.ts'

/** The reference for a router: the same schemas on a bare fastify that decides nothing. */
const decision: Decision = {
  id: '6f1c1a3e-8a65-4f43-9b0a-0d4c4d0f0a51',
  object: 'routing.decision',
  created: 1_700_000_000,
  router: { name: 'bench', version: '0123456789abcdef' },
  model: 'big-1',
  win_rate: 0.6180339887498949,
  threshold: 0.5234,
  calibrated: false,
  candidates: ['big-1', 'small-1'].map((model, i) => ({
    model,
    score: 0.6180339887498949,
    eligible: true,
    reason: i === 0 ? 'chosen' : 'next',
    est_cost_usd: 0.00731,
    propensity: 1 - i,
  })),
  reason: 'win_rate_reached',
  fallback: false,
  fallback_reason: null,
  propensity: 1,
  timing_ms: 0.061,
  truncated: false,
}

const app = fastify()
app.setValidatorCompiler(compileValidator)
app.post(
  '/route',
  { schema: { body: RouteRequest, response: { 200: Decision } } },
  async () => decision,
)
const url = await app.listen({ host: '127.0.0.1', port: 0 })
process.stdout.write(`${JSON.stringify({ url, pid: process.pid })}\n`)
