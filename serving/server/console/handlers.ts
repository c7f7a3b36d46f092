import { definedOnly } from '../../../core/defined.ts'
import { WeirError } from '../../../core/errors.ts'
import type { RouteRequest } from '../../../models/decision/decision.ts'
import { contextKeys } from '../../../models/reading/recipe.ts'
import { toChat } from '../../policy/route-preview.ts'
import { ANYONE } from '../../router/keys.ts'
import type { LiveRouter } from '../../router/live-router.ts'
import type { ServeConfig } from '../config.ts'
import { rateDecision } from '../routes/feedback.ts'
import type { Services } from '../services.ts'
import { type Answered, type Asked, type ConsoleCaller, type Handlers, mayAct } from './contract.ts'
import type { Traffic } from './traffic.ts'

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
    rate: services.feedback && ((rating, caller) => rated(services, rating, caller)),
    playground: ({ request, policy }, caller) => {
      if (policy !== undefined && !mayAct(caller.role, 'operator')) {
        throw new WeirError('role_needed', { role: 'operator', got: caller.role })
      }
      return playground(services, request, policy)
    },
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
      routerStatus(live, traffic.winRatesOf(live.router.manifest.name)),
    ),
    models: [...(gateway?.dispatcher.models.keys() ?? [])],
    policies: (policies?.status ?? []).map(({ name, hash }) => ({ name, hash })),
  }
}

/** A router as the console shows it. @param winRates counts of its decisions by win rate */
export function routerStatus(
  { router, strong }: Pick<LiveRouter, 'router' | 'strong'>,
  winRates: readonly number[],
): Answered<'overview'>['routers'][number] {
  const { name, version, threshold, candidates, recipe } = router.manifest
  return {
    ...{ name, version, threshold: threshold.value, strong },
    calibrated: threshold.source === 'calibrated',
    weak: candidates.find(({ role }) => role === 'weak')!.model,
    models: candidates.map(({ model }) => model),
    win_rates: [...winRates],
    context: [...contextKeys(recipe)],
  }
}

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
