import { WeirError } from '../../core/errors.ts'
import type { RouteRequest } from '../../models/decision/decision.ts'
import { contextKeys } from '../../models/reading/recipe.ts'
import type { Rollout } from '../../records/rollout.ts'
import type { Routing } from './config.ts'
import type { LiveRouter } from './live-router.ts'

/** One router of a target and its share of the sessions; the shares of a target add up to 1. */
export interface Arm {
  readonly live: LiveRouter
  readonly share: number
}

/** What a router name refers to: one router, or a split between several, with its shadows. */
export interface Target {
  readonly name: string
  readonly arms: readonly Arm[]
  readonly shadows: readonly LiveRouter[]
  /** the keys of declared context that are read of a request, and those of them that the request itself may set */
  readonly context: { readonly all: readonly string[]; readonly open: readonly string[] }
  /** from a name like `router-mf-0.116`, which includes a threshold */
  readonly threshold?: number
}

/** All routers and names at one moment; none in a gateway without a trained router. Immutable: a reload makes another one. */
export interface Snapshot {
  readonly routers: ReadonlyMap<string, LiveRouter>
  /** by router name, alias and split name; includes `default` if there is any router */
  readonly targets: ReadonlyMap<string, Target>
  /** by router name, the version that is being rolled out */
  readonly staged: ReadonlyMap<string, StagedRouter>
}

/** A version at shadow or canary. */
export interface StagedRouter {
  readonly live: LiveRouter
  readonly rollout: Rollout
}

/** @throws config_invalid if a name refers to nothing, or to two things */
export function buildSnapshot(
  routers: ReadonlyMap<string, LiveRouter>,
  config: Pick<Routing, 'default' | 'aliases' | 'splits' | 'shadows' | 'context'>,
  staged: ReadonlyMap<string, StagedRouter> = new Map(),
): Snapshot {
  const need = (name: string, where: string): LiveRouter => {
    const live = routers.get(name)
    if (live) return live
    throw invalid(where, `a router that is served (${[...routers.keys()].join(', ')})`, name)
  }
  const shadowsOf = (name: string): LiveRouter[] =>
    (config.shadows ?? [])
      .filter((shadow) => shadow.of === name)
      .map((shadow) => need(shadow.router, 'shadows'))
  const targets = new Map<string, Target>()
  const contextOf = ({ arms, shadows }: Pick<Target, 'arms' | 'shadows'>): Target['context'] => {
    const read = [...arms.map(({ live }) => live), ...shadows].flatMap(({ router }) =>
      contextKeys(router.manifest.recipe),
    )
    const all = [...new Set([...read, ...(config.context?.keys ?? [])])]
    return { all, open: all.filter((key) => config.context?.trusted?.includes(key) !== true) }
  }
  const add = (name: string, target: Omit<Target, 'context'>): void => {
    if (targets.has(name)) throw invalid(name, 'a name used once', 'it twice')
    targets.set(name, { ...target, context: contextOf(target) })
  }
  for (const [name, live] of routers) {
    const next = staged.get(name)
    const canary = next?.rollout.stage === 'canary' ? (next.rollout.share ?? 0) : 0
    add(name, {
      name,
      arms: canary
        ? [
            { live, share: 1 - canary },
            { live: next!.live, share: canary },
          ]
        : [{ live, share: 1 }],
      shadows: next?.rollout.stage === 'shadow' ? [...shadowsOf(name), next.live] : shadowsOf(name),
    })
  }
  for (const [name, arms] of Object.entries(config.splits ?? {})) {
    const total = arms.reduce((sum, arm) => sum + arm.weight, 0)
    add(name, {
      name,
      arms: arms.map(({ router, weight }) => ({
        live: need(router, `splits.${name}`),
        share: weight / total,
      })),
      shadows: shadowsOf(name),
    })
  }
  for (const { of } of config.shadows ?? []) {
    if (!targets.has(of)) throw invalid('shadows', 'the name of a router or split', of)
  }
  for (const [alias, name] of Object.entries(config.aliases ?? {})) {
    const target = targets.get(name)
    if (!target) throw invalid(`aliases.${alias}`, 'the name of a router or split', name)
    add(alias, target)
  }
  const byDefault = config.default ?? [...routers.keys()][0]
  // a gateway may start without any router
  if (!targets.has('default') && byDefault !== undefined) {
    const target = targets.get(byDefault)
    if (!target) throw invalid('default', 'the name of a router, split or alias', byDefault)
    targets.set('default', target)
  }
  return { routers, targets, staged }
}

/** `router-NAME-THRESHOLD`, the form in which RouteLLM's clients combine a router and its threshold. */
const ROUTELLM_NAME = /^router-(.+)-([^-]*)$/

/**
 * @param name as a request gives it; undefined means `default`
 * @throws router_unknown, router_name_invalid
 */
export function resolveTarget(snapshot: Snapshot, name: string | undefined): Target {
  const asked = name ?? 'default'
  const found = snapshot.targets.get(asked)
  if (found) return found
  if (asked.startsWith('router-')) return routeLlmTarget(snapshot, asked)
  throw unknown(snapshot, asked)
}

function routeLlmTarget(snapshot: Snapshot, name: string): Target {
  const [, router, digits] = ROUTELLM_NAME.exec(name) ?? []
  const threshold = digits && /^(\d+\.?\d*|\.\d+)$/.test(digits) ? Number(digits) : Number.NaN
  if (router === undefined || !(threshold >= 0 && threshold <= 1)) {
    throw new WeirError('router_name_invalid', { got: name }, { param: 'router' })
  }
  const target = snapshot.targets.get(router) ?? byFamily(snapshot, router)
  if (!target) throw unknown(snapshot, router)
  return { ...target, threshold }
}

/** RouteLLM names routers by their family; that is accepted if only one of the family is served. */
function byFamily(snapshot: Snapshot, family: string): Target | undefined {
  const matches = [...snapshot.routers].filter(
    ([, live]) => live.router.manifest.family.name === family,
  )
  return matches.length === 1 ? snapshot.targets.get(matches[0]![0]) : undefined
}

function unknown(snapshot: Snapshot, name: string): WeirError {
  const names = [...snapshot.targets.keys()]
  const known = names.length > 0 ? names : 'none, as it was started without a trained router'
  return new WeirError('router_unknown', { router: name, known }, { param: 'router' })
}

const invalid = (where: string, expected: string, got: string): WeirError =>
  new WeirError('config_invalid', { where, expected, got })

/** A validated request, with the version that answers it and the others of its split. */
export interface Prepared {
  /** as in the caller's request; `request` also has the threshold of the router's name */
  readonly asked: RouteRequest
  readonly request: RouteRequest
  readonly id: string
  readonly text: string
  readonly hash: string
  readonly target: Target
  readonly live: LiveRouter
  readonly started: number
}
