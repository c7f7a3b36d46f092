import { randomInt } from 'node:crypto'
import { Registry } from 'prom-client'
import { throwIfAborted } from '../../core/abort.ts'
import { openOrClose } from '../../core/close-stack.ts'
import { WeirError } from '../../core/errors.ts'
import { upperBound } from '../budgets/bound.ts'
import { type Budgets, openBudgets, spendFolderOf } from '../budgets/open.ts'
import type { BudgetSettings } from '../budgets/settings.ts'
import { dollarsOf } from '../budgets/units.ts'
import type { GatewayConfig } from '../gateway/config.ts'
import type { Attempt, Served } from '../gateway/contracts.ts'
import { openGateway, withPrices } from '../gateway/open-gateway.ts'
import { mayBeBilled, spendObserver } from '../gateway/spending.ts'
import { createDecider } from '../router/decider.ts'
import { createFleet } from '../router/fleet.ts'
import type { KeyHolder } from '../router/keys.ts'
import { type WholeAnswer, wholeOf } from '../strategies/chat-answer.ts'
import type { UpstreamKind } from '../upstreams/kinds.ts'
import type { PassedBody } from '../upstreams/upstream.ts'

/** One question to one model, outside of any client's request. */
export interface Question {
  /**
   * tells this question from all others: sent as the idempotency key, so that an upstream that knows the header bills the
   * same question once
   */
  readonly id: string
  readonly model: string
  /** of a chat, without `model`; never streamed */
  readonly body: Omit<PassedBody, 'model'>
  readonly signal?: AbortSignal | undefined
}

/** How a question ended, and what it took. */
export interface Asked {
  /** absent if it failed */
  readonly answer: WholeAnswer | undefined
  /** why there is no answer: UpstreamError of the last attempt, budget_spent, model_over_budget, `cancelled` */
  readonly error: WeirError | undefined
  readonly attempts: readonly Attempt[]
  /** US dollars of all attempts: the most that one can cost where an upstream worked and counted no tokens */
  readonly paidUsd: number
  readonly milliseconds: number
}

/** Asks the models of a gateway's configuration: its limits, retries, budgets and prices apply. */
export interface Asker {
  /** The models as the configuration and its price file describe them. */
  readonly models: GatewayConfig['models']
  /** @throws only errors that are bugs */
  ask(question: Question): Promise<Asked>
  /** US dollars that one attempt at a question can cost at most; undefined if price or context is unknown. */
  mostUsd(question: Pick<Question, 'model' | 'body'>): number | undefined
  close(): Promise<void>
}

export interface AskerOptions {
  readonly config: GatewayConfig
  /** the models that will be asked */
  readonly asked: readonly string[]
  /** the log of the same configuration: beside it spending is kept, unless `gateway.spend` says where */
  readonly log?: { readonly folder: string } | undefined
  /** a limit on what is asked here, kept on disk in a folder of its own; reserved before each call */
  readonly cap?: { readonly usd: number; readonly folder: string } | undefined
  /** the name that spending is counted under, like that of an API key */
  readonly name: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly upstreamKinds?: readonly UpstreamKind[] | undefined
  /** milliseconds since 1970 */
  readonly now?: () => number
  readonly onWarning: (message: string, error?: unknown) => void
}

/** How long a question waits for rate limits to pass before it fails, in milliseconds. */
const RATE_LIMIT_WAIT_MS = 120_000

/** The name of the budget that `cap` makes. */
const CAP = 'cap'

/** @throws model_not_served; config_invalid, also where a price or context is missing that the cap has to know */
export const openAsker = (options: AskerOptions): Promise<Asker> =>
  openOrClose(async (opened) => {
    const { asked: names, log, cap, name, environment, onWarning, now = Date.now } = options
    // where nobody waits for the answer, a retry costs nothing but time
    const config = { ...(await withPrices(options.config)), retry_budget: 1 }
    const budgets = (folder: string | undefined, settings: readonly BudgetSettings[]): Budgets =>
      opened.use(
        openBudgets({
          models: config.models,
          budgets: settings,
          allowHosts: config.allow_hosts,
          keys: undefined,
          folder,
          primary: undefined,
          owner: `${name}-${process.pid}`,
          registry: new Registry(),
          now,
          onWarning,
        }),
      )
    for (const model of names) {
      if (Object.hasOwn(config.models, model)) continue
      throw new WeirError('model_not_served', { model, known: Object.keys(config.models) })
    }
    const own =
      cap &&
      budgets(cap.folder, [
        {
          name: CAP,
          usd: cap.usd,
          per: 'total',
          of: { model: [...names] },
          // biome-ignore lint/suspicious/noThenProperty: the setting's name; nobody awaits it
          then: 'stop',
        },
      ])
    const shared = config.budgets?.length
      ? budgets(spendFolderOf(config, log), config.budgets)
      : undefined
    const served = new Map<string, Served>()
    const fleet = opened.use(createFleet({ routers: [] }))
    const gateway = opened.use(
      await openGateway(config, {
        fleet,
        // nothing is routed: every question names its model
        decider: createDecider({
          fleet,
          deadlineMs: 0,
          observers: [],
          onEncoderFailure: () => {},
          now,
          newId: () => '',
        }),
        environment,
        observers: [
          ...[own, shared].flatMap((each) => (each ? [spendObserver(each)] : [])),
          (one) => served.set(one.request.id, one),
        ],
        budgets: both(own, shared),
        upstreamKinds: options.upstreamKinds,
        now,
        seed: randomInt(2 ** 31),
      }),
    )
    const caller: KeyHolder = { name }
    const mostUsd: Asker['mostUsd'] = ({ model, body }) => {
      const terms = config.models[model]
      if (!terms?.price || terms.context === undefined) return undefined
      const { price, context, output_tokens: outputTokens } = terms
      const most = { price, context, outputTokens }
      return dollarsOf(upperBound({ endpoint: 'chat', body: { ...body, model } }, most))
    }

    /** The answer of one exchange. @throws its error */
    const exchanged = async ({
      id,
      model,
      body: asked,
      signal,
    }: Question): Promise<WholeAnswer> => {
      const { stream: _, ...rest } = asked
      const body: PassedBody = { ...rest, model }
      const request = {
        id,
        body: { messages: [], ...body },
        caller,
        headers: {},
        hints: { rate_limit_wait_ms: RATE_LIMIT_WAIT_MS },
        time: now(),
      }
      throwIfAborted(signal)
      let cancel: (() => void) | undefined
      const stop = (): void => cancel?.()
      signal?.addEventListener('abort', stop, { once: true })
      try {
        const outcome = await gateway.pass('chat', request, body, JSON.stringify(body), (way) => {
          cancel = way
        })
        try {
          const answer = wholeOf(outcome.answer!)
          outcome.finish(200)
          return answer
        } catch (error) {
          const { status = 500, code } = error instanceof WeirError ? error : {}
          outcome.finish(status, code)
          throw error
        }
      } finally {
        signal?.removeEventListener('abort', stop)
      }
    }

    return {
      models: config.models,
      async ask(question) {
        let answer: WholeAnswer | undefined
        let error: WeirError | undefined
        try {
          answer = await exchanged(question)
        } catch (thrown) {
          if (!(thrown instanceof WeirError)) throw thrown
          error = thrown
        }
        const { attempts = [], milliseconds = 0 } = served.get(question.id) ?? {}
        served.delete(question.id)
        const paid = attempts.map(
          ({ costUsd, outcome }) =>
            costUsd ?? (mayBeBilled(outcome) ? (mostUsd(question) ?? 0) : 0),
        )
        const paidUsd = paid.reduce((sum, usd) => sum + usd, 0)
        return { answer, error, attempts, paidUsd, milliseconds }
      },
      mostUsd,
      close: () => opened.close(),
    }
  })

/** Reserves from both: an attempt is made only if both have room for it. */
function both(
  first: Budgets | undefined,
  second: Budgets | undefined,
): Pick<Budgets, 'reserve' | 'refused'> | undefined {
  if (!first || !second) return first ?? second
  return {
    async reserve(question) {
      const one = await first.reserve(question)
      try {
        const two = await second.reserve(question)
        const each = [one, two].filter((held) => held !== undefined)
        return {
          commit: (usd) => each.forEach((held) => void held.commit(usd)),
          commitBound: () => each.forEach((held) => void held.commitBound()),
          release: () => each.forEach((held) => void held.release()),
        }
      } catch (error) {
        one?.release()
        throw error
      }
    },
    refused: (budget) => second.refused(budget),
  }
}
