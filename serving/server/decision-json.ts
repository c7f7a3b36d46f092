import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { Decision, DecisionCandidate } from '../../models/decision/decision.ts'

/** Header names and values, alternating, as Node takes them without checking each. */
const HEADERS = [
  'content-type',
  'application/json; charset=utf-8',
  'x-content-type-options',
  'nosniff',
  'cache-control',
  'no-store',
  'content-length',
]

/**
 * Sends a decision, bypassing fastify's reply: every request does this, and the headers, hooks and serializer
 * of a reply cost a tenth of it. Errors still use the reply.
 */
export function sendDecision(reply: FastifyReply, decision: Decision): void {
  const body = decisionJson(decision)
  reply.hijack()
  const response: ServerResponse = reply.raw
  const bytes = Buffer.byteLength(body)
  response.writeHead(200, [...HEADERS, String(bytes)])
  // if every character is one byte, nothing needs encoding
  response.end(body, bytes === body.length ? 'latin1' : 'utf8')
}

/**
 * A decision as JSON, assembled by hand. Fields with arbitrary text go through JSON.stringify; numbers are
 * finite by contract.
 */
export function decisionJson(decision: Decision): string {
  const { router, candidates, explanation } = decision
  let list = ''
  for (const candidate of candidates)
    list += list === '' ? candidateJson(candidate) : `,${candidateJson(candidate)}`
  const choice = decision.choice === undefined ? '' : `,"choice":${JSON.stringify(decision.choice)}`
  const ood = decision.ood === undefined ? '' : `,"ood":${decision.ood}`
  const audit = decision.audit === undefined ? '' : `,"audit":${decision.audit}`
  const explained = explanation === undefined ? '' : `,"explanation":${JSON.stringify(explanation)}`
  return `{"id":${JSON.stringify(decision.id)},"object":"routing.decision","created":${decision.created},"router":{"name":${quoted(router.name)},"version":${quoted(router.version)}},"model":${quoted(decision.model)},"win_rate":${decision.win_rate},"threshold":${decision.threshold},"calibrated":${decision.calibrated},"candidates":[${list}]${choice},"reason":${quoted(decision.reason)},"fallback":${decision.fallback},"fallback_reason":${decision.fallback_reason === null ? 'null' : quoted(decision.fallback_reason)},"propensity":${decision.propensity},"timing_ms":${decision.timing_ms},"truncated":${decision.truncated}${ood}${audit}${explained}}`
}

function candidateJson(candidate: DecisionCandidate): string {
  const { wait_usd: wait } = candidate
  const waits = wait === undefined ? '' : `,"wait_usd":${wait}`
  return `{"model":${quoted(candidate.model)},"score":${candidate.score},"eligible":${candidate.eligible},"reason":${quoted(candidate.reason)},"est_cost_usd":${candidate.est_cost_usd},"propensity":${candidate.propensity}${waits}}`
}

/**
 * Names come from bundles and closed lists, so there are few of them; many would only cost memory in the
 * cache.
 */
const KNOWN_LIMIT = 10_000
const known = new Map<string, string>()

function quoted(name: string): string {
  const found = known.get(name)
  if (found !== undefined) return found
  const text = JSON.stringify(name)
  if (known.size < KNOWN_LIMIT) known.set(name, text)
  return text
}
