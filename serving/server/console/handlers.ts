import { hostname } from 'node:os'
import { Compile } from 'typebox/compile'
import { definedOnly } from '../../../core/defined.ts'
import { WeirError } from '../../../core/errors.ts'
import { changedYaml, parseSource } from '../../../core/yaml-source.ts'
import { CostQuality } from '../../../models/bundle/manifest.ts'
import { calibrate } from '../../../models/calibration-map.ts'
import type { RouteRequest } from '../../../models/decision/decision.ts'
import { contextKeys } from '../../../models/reading/recipe.ts'
import { type Person, propose } from '../../audit/approvals.ts'
import { toChat } from '../../policy/route-preview.ts'
import { ANYONE } from '../../router/keys.ts'
import type { LiveRouter } from '../../router/live-router.ts'
import type { ServeConfig } from '../config.ts'
import { rateDecision } from '../routes/feedback.ts'
import type { Services } from '../services.ts'
import {
  type Answered,
  type Asked,
  type ConsoleCaller,
  type Handlers,
  mayAct,
  type Spread,
} from './contract.ts'
import { health } from './health.ts'
import { money } from './money.ts'
import type { Traffic } from './traffic.ts'

type RouterView = Answered<'overview'>['routers'][number]

/** Longest wait of a preview for a policy's encoder, in milliseconds. */
const PREVIEW_MS = 2_000
const ROWS_AT_ONCE = 500

/** What a running server answers its console. */
export function serverHandlers(
  services: Services,
  config: ServeConfig,
  traffic: Traffic,
): Handlers {
  return {
    overview: () => overview(services, traffic),
    decisions: ({ after = 0, limit = ROWS_AT_ONCE }) => traffic.rowsAfter(after, limit),
    money: services.budgets && (({ by = 'day' }) => money(services, traffic, by)),
    health: () => health(services, traffic),
    rate: services.feedback && ((rating, caller) => rated(services, rating, caller)),
    playground: ({ request, policy }, caller) => {
      if (policy !== undefined && !mayAct(caller.role, 'operator')) {
        throw new WeirError('role_needed', { role: 'operator', got: caller.role })
      }
      return playground(services, request, policy)
    },
    ...(services.fleet.snapshot?.routers.size && {
      curve: ({ router }) => curve(services, config, traffic, router),
      propose_threshold: (asked, caller) => proposeThreshold(services, config, asked, caller),
    }),
    policies:
      services.policies &&
      (() => ({
        policies: services.policies!.texts.map(({ name, path, hash, share, text }) => ({
          ...{ name, path, hash, share, text },
        })),
        approvals: config.gateway?.require_approval ?? null,
      })),
  }
}

/** People of the console may rate any key's decisions; their name is the source. */
async function rated(
  services: Services,
  { decision_id, score, model }: Asked<'rate'>,
  { name }: ConsoleCaller,
): Promise<Answered<'rate'>> {
  const source = `console:${name}`
  await rateDecision(services, definedOnly({ decision_id, score, model, source }), {
    ...{ name, feedback: 'any' },
  })
  return { decision_id, score }
}

function overview({ fleet, gateway, policies }: Services, traffic: Traffic): Answered<'overview'> {
  return {
    ...traffic.counts(),
    routers: [...(fleet.snapshot?.routers.values() ?? [])].map((live) =>
      routerStatus(live, traffic.spreadOf(live.router.manifest.name)),
    ),
    models: [...(gateway?.dispatcher.models.keys() ?? [])],
    policies: (policies?.status ?? []).map(({ name, hash }) => ({ name, hash })),
  }
}

/** A router as the console shows it. */
export function routerStatus(
  { router, strong, weak }: Pick<LiveRouter, 'router' | 'strong' | 'weak'>,
  spread: Spread,
): RouterView {
  const { name, version, threshold, candidates, recipe } = router.manifest
  return {
    ...{ name, version, threshold: threshold.value, strong, weak, spread },
    calibrated: threshold.source === 'calibrated',
    models: candidates.map(({ model }) => model),
    context: [...contextKeys(recipe)],
  }
}

/** What a bundle knows of its curve. */
export function curveOf({
  manifest,
}: Pick<LiveRouter['router'], 'manifest'>): Pick<
  Answered<'curve'>,
  'curve' | 'certificate' | 'created'
> {
  const kept = manifest.metrics.cost_quality
  return {
    // of raw win rates, which the bundle's calibration keeps in order
    curve: isCurve.Check(kept)
      ? {
          ...kept,
          threshold: kept.threshold.map((at) =>
            calibrate(manifest.calibration, Math.min(1, Math.max(0, at))),
          ),
        }
      : null,
    certificate: manifest.threshold.certificate ?? null,
    created: manifest.created,
  }
}

const isCurve = Compile(CostQuality)

function routerNamed({ fleet }: Services, name: string | undefined): LiveRouter {
  const routers = fleet.snapshot?.routers
  const found = name === undefined ? routers?.values().next().value : routers?.get(name)
  if (found) return found
  const known = [...(routers?.keys() ?? [])].join(', ') || 'none'
  throw new WeirError('router_unknown', { router: name ?? 'default', known }, { param: 'router' })
}

function curve(
  services: Services,
  config: ServeConfig,
  traffic: Traffic,
  name: string | undefined,
): Answered<'curve'> {
  const live = routerNamed(services, name)
  const { now, started } = traffic.counts()
  return {
    ...{ now, started, policy_threshold: policyThreshold(services) },
    ...curveOf(live.router),
    router: routerStatus(live, traffic.spreadOf(live.router.manifest.name)),
    no_proposals: whyNoProposals(services, config),
  }
}

/** The threshold that the first policy sets over its router’s own. */
function policyThreshold({ policies }: Services): number | null {
  const served = policies?.texts[0]
  if (!served) return null
  const { value } = parseSource(served.text, served.path, 'a policy')
  const threshold = (value as { learned?: { threshold?: unknown } }).learned?.threshold
  return typeof threshold === 'number' ? threshold : null
}

function whyNoProposals({ policies }: Services, { gateway }: ServeConfig): string | null {
  if (!policies) return 'a threshold is proposed as a policy, and this server has none'
  if (gateway?.require_approval === undefined) {
    return 'gateway.require_approval names no place for proposals'
  }
  return null
}

/** Writes a policy with the threshold beside those that wait for approval. It serves nobody until its file has it. */
async function proposeThreshold(
  services: Services,
  config: ServeConfig,
  { router, threshold, note }: Asked<'propose_threshold'>,
  caller: ConsoleCaller,
): Promise<Answered<'propose_threshold'>> {
  routerNamed(services, router)
  const fault = whyNoProposals(services, config)
  if (fault !== null) {
    throw new WeirError('request_invalid', {
      where: 'propose_threshold',
      expected: 'a server with a policy and gateway.require_approval',
      got: fault,
    })
  }
  const rounded = Math.round(threshold * 1e4) / 1e4
  const served = services.policies!.texts[0]!
  const text = changedYaml(served.text, [[['learned', 'threshold'], rounded]])
  const { id, path } = await propose(
    config.gateway!.require_approval!,
    {
      ...{ text, path: served.path, by: personOf(caller) },
      note: note?.trim() || `threshold ${rounded} for ${router}`,
    },
    new Date(services.now()),
  )
  return { id, path }
}

/** Who somebody in the console is in proposals and approvals: the name of the key, on this machine. */
export const personOf = ({ name }: ConsoleCaller): Person => ({
  ...{ name, user: 'console', host: hostname() },
})

async function playground(
  { decider, fleet, policies, now }: Services,
  request: RouteRequest,
  text: string | undefined,
): Promise<Answered<'playground'>> {
  const decision =
    fleet.snapshot && fleet.snapshot.routers.size > 0
      ? await decider.preview(request, ANYONE)
      : undefined
  if (!policies) return definedOnly({ decision })
  try {
    const chat = toChat(request, decision?.id ?? 'preview', ANYONE, now())
    const signal = AbortSignal.timeout(PREVIEW_MS)
    const { plan, certain, policy } =
      text === undefined
        ? await policies.preview(chat, signal, decision)
        : await policies.previewText(text, chat, signal, decision)
    const serves = plan.kind === 'serve' ? plan : undefined
    return definedOnly({
      decision,
      policy: {
        ...{ name: policy.name, hash: policy.hash, certain, kind: plan.kind },
        models: serves?.targets.map(({ model }) => model) ?? [],
        strategy: serves?.strategy.kind ?? 'refuse',
        ...{ step: plan.deciding.step, reason: plan.deciding.reason },
        rule: plan.deciding.name ?? null,
        message: plan.kind === 'refuse' ? plan.message : null,
        steps: (plan.steps ?? []).map(({ step, matched, name, reason }) => ({
          ...{ step, matched, name: name ?? null, reason: reason ?? null },
        })),
      },
    })
  } catch (error) {
    if (!(error instanceof WeirError) && (error as Error).name !== 'TimeoutError') throw error
    return definedOnly({ decision, policy_error: (error as Error).message })
  }
}
