import { Z_95 } from '../../core/stats/normal.ts'
import type { GatewayRecord } from '../../records/decision-record.ts'
import { feedbackWithinKeyShare } from '../../records/feedback/key-share.ts'
import type { LoggedRequests } from './rows.ts'

/** A mean with its 95% interval. */
export interface Mean {
  readonly value: number
  readonly low: number
  readonly high: number
}

/** The results of one route of a policy. */
export interface RouteOfPolicy {
  readonly step: string
  readonly rule: string | undefined
  readonly model: string
  readonly requests: number
  readonly usd: number
  readonly score: number | undefined
}

/** One of the policies that shared the requests. */
export interface PolicyArm {
  readonly policy: string
  readonly requests: number
  /** sessions, keys or requests that were assigned to this policy: the units that the intervals resample */
  readonly units: number
  readonly errors: number
  /** requests with known cost, and their US dollars */
  readonly priced: number
  readonly usd: number
  /** requests with feedback */
  readonly rated: number
  /** mean feedback on this policy's requests */
  readonly score: Mean | undefined
  /**
   * This policy's score over all requests: those that all policies would have given the same model
   * (propensity 1) count for each of them, the others for the policy that served them.
   */
  readonly weighted: Mean | undefined
  readonly routes: readonly RouteOfPolicy[]
}

export interface PolicyComparison {
  readonly arms: readonly PolicyArm[]
  /** rated requests that all policies would have given the same model */
  readonly agreed: number
  /** weighted score of each policy less the first one's; the requests they agree on cancel out */
  readonly differences: readonly (Mean & { readonly policy: string; readonly against: string })[]
}

interface Row {
  readonly record: GatewayRecord
  readonly policy: string
  readonly unit: string
  /** mean feedback on the answer */
  readonly score: number | undefined
  readonly agreed: boolean
}
type RatedRow = Row & { readonly score: number }

/** Compares the policies that shared a gateway's requests. Requests without a policy are left out. */
export function comparePolicies({
  requests,
  feedback,
}: Pick<LoggedRequests, 'requests' | 'feedback'>): PolicyComparison {
  const said = new Map<string, number[]>()
  for (const { decision_id: id, score, model } of feedbackWithinKeyShare(feedback)) {
    // feedback on a model other than the one that answered says nothing about the policy
    const key = model === undefined ? id : `${id}\n${model}`
    const scores = said.get(key)
    if (scores) scores.push(score)
    else said.set(key, [score])
  }
  const rows = requests.flatMap(({ gateway }): Row[] => {
    if (!gateway?.policy) return []
    const ids = [gateway.id, ...(gateway.decision_id === undefined ? [] : [gateway.decision_id])]
    const scores = ids.flatMap((id) => [
      ...(said.get(id) ?? []),
      ...(said.get(`${id}\n${gateway.model}`) ?? []),
    ])
    const { name, hash } = gateway.policy
    return [
      {
        record: gateway,
        policy: `${name}@${hash}`,
        unit: unitOfRecord(gateway),
        score: scores.length > 0 ? sumOf(scores) / scores.length : undefined,
        agreed: gateway.propensity === 1,
      },
    ]
  })
  const names = [...new Set(rows.map(({ policy }) => policy))].sort()
  const rated = rows.filter((row): row is RatedRow => row.score !== undefined)
  const values = new Map(names.map((policy) => [policy, weighted(rated, policy)]))
  const arms = names.map((policy): PolicyArm => {
    const own = rows.filter((row) => row.policy === policy)
    const priced = own.flatMap(({ record }) => record.cost_usd ?? [])
    return {
      policy,
      requests: own.length,
      units: new Set(own.map(({ unit }) => unit)).size,
      errors: own.filter(({ record }) => record.status >= 400 || record.code !== undefined).length,
      priced: priced.length,
      usd: sumOf(priced),
      rated: rated.filter((row) => row.policy === policy).length,
      score: plainMean(rated.filter((row) => row.policy === policy)),
      weighted: weightedMean(rated, values.get(policy)),
      routes: routesOf(own),
    }
  })
  const [first] = names
  const base = first === undefined ? undefined : values.get(first)
  const differences = names.slice(1).flatMap((policy) => {
    const own = values.get(policy)
    if (!own || !base) return []
    const moves = own.moves.map((move, i) => move - base.moves[i]!)
    const mean = unitInterval(rated, { mean: own.mean - base.mean, moves })
    return [{ policy, against: first!, ...mean }]
  })
  return { arms, agreed: rated.filter((row) => row.agreed).length, differences }
}

const weightedMean = (rated: readonly RatedRow[], its: Weighted | undefined): Mean | undefined =>
  its && unitInterval(rated, its)

/** The gateway's unit of assignment: the session, else the key, else the request. */
function unitOfRecord({ id, key, session_id: session }: GatewayRecord): string {
  if (session !== undefined) return `session\n${key}\n${session}`
  return key === 'anyone' ? `request\n${id}` : `key\n${key}`
}

/** One policy's score over all requests, with the influence of each rated request. */
interface Weighted {
  readonly mean: number
  /** influence, in the order of the rated requests, so that requests of one unit are weighted together */
  readonly moves: Float64Array
}

/** Agreed requests count directly; of the others, the policy's own represent all of them. */
function weighted(rated: readonly RatedRow[], policy: string): Weighted | undefined {
  const apart = rated.filter(({ agreed }) => !agreed)
  const own = apart.filter((row) => row.policy === policy)
  if (rated.length === 0 || (apart.length > 0 && own.length === 0)) return undefined
  const scale = own.length > 0 ? apart.length / own.length : 0
  const ownMean = own.length > 0 ? sumOf(own.map(({ score }) => score)) / own.length : 0
  const base = rated.map((row) => (row.agreed ? row.score : ownMean))
  const mean = sumOf(base) / rated.length
  const moves = Float64Array.from(rated, (row, i) => {
    const drawn = !row.agreed && row.policy === policy
    return base[i]! - mean + (drawn ? scale * (row.score - ownMean) : 0)
  })
  return { mean, moves }
}

/** The interval of a mean from each request's influence on it, clustered by unit. */
function unitInterval(rated: readonly RatedRow[], { mean, moves }: Weighted): Mean {
  const sums = new Map<string, number>()
  for (const [i, { unit }] of rated.entries()) sums.set(unit, (sums.get(unit) ?? 0) + moves[i]!)
  const groups = sums.size
  // a single unit does not show how much units differ
  const squares = sumOf([...sums.values()].map((sum) => sum * sum))
  const variance = groups < 2 ? Infinity : ((groups / (groups - 1)) * squares) / rated.length ** 2
  const margin = Z_95 * Math.sqrt(variance)
  return { value: mean, low: mean - margin, high: mean + margin }
}

const plainMean = (rows: readonly RatedRow[]): Mean | undefined => {
  if (rows.length === 0) return undefined
  const mean = sumOf(rows.map(({ score }) => score)) / rows.length
  return unitInterval(rows, { mean, moves: Float64Array.from(rows, ({ score }) => score - mean) })
}

function routesOf(rows: readonly Row[]): RouteOfPolicy[] {
  const groups = new Map<string, Row[]>()
  for (const row of rows) {
    const { step, rule, targets, model } = row.record
    const key = JSON.stringify([step, rule ?? '', targets[0] ?? model ?? '(refused)'])
    const group = groups.get(key)
    if (group) group.push(row)
    else groups.set(key, [row])
  }
  return [...groups]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([key, own]) => {
      const [step, rule, model] = JSON.parse(key) as [string, string, string]
      const scores = own.flatMap(({ score }) => score ?? [])
      return {
        step,
        rule: rule || undefined,
        model,
        requests: own.length,
        usd: sumOf(own.flatMap(({ record }) => record.cost_usd ?? [])),
        score: scores.length > 0 ? sumOf(scores) / scores.length : undefined,
      }
    })
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)
