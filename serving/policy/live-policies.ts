import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Decision } from '../../models/decision/decision.ts'
import type { GatewayRequest, Policy, PolicyName } from '../gateway/contracts.ts'

import type { PolicyCandidate, PolicyHooks } from './loading.ts'
import type { Preview } from './pipeline.ts'
import { type Arm, armOf, type PolicySource, planOver } from './policy-arms.ts'
import { assertFits, PolicyVersion, readPolicy, type VersionOptions } from './policy-version.ts'

export interface LivePoliciesOptions extends VersionOptions {
  readonly sources: readonly PolicySource[]
  readonly hooks?: PolicyHooks | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
}

/** A policy that serves, as operators see it. */
export interface PolicyStatus {
  readonly name: string
  readonly path: string
  readonly hash: string
  readonly share: number
  /** the hash it took the place of in this reload */
  readonly replaced?: string
}

/** The policies of a server: one, or several that share its requests; each the newest text that was fit to serve. */
export interface LivePolicies extends Required<Policy> {
  readonly status: readonly PolicyStatus[]
  /** what a request may name: `weir`, then routes and models of the files */
  readonly names: readonly string[]
  /** Reads every file again. @throws what is wrong with one; then all of the old ones serve on */
  reload(why: string): Promise<readonly PolicyStatus[]>
  /** What the request's own policy would do with it; leaves no trace. */
  preview(
    request: GatewayRequest,
    signal: AbortSignal,
    decision?: Decision,
  ): Promise<Preview & { readonly policy: PolicyName }>
  /** Files that are not what is served, with what they are, and what lets them serve. */
  changed(): Promise<string[]>
  close(): Promise<void>
}

/** @throws config_invalid, file_not_found, and what making an encoder throws */
export async function openPolicies(options: LivePoliciesOptions): Promise<LivePolicies> {
  const { sources, hooks, now } = options
  const total = sources.reduce((sum, { weight }) => sum + weight, 0)
  /** never changed: a reload makes another list */
  let arms: readonly Arm[] = []
  // one reload at a time: each sees what the one before it left
  let turn: Promise<unknown> = Promise.resolve()

  const stage = async (source: PolicySource, why: string): Promise<Arm> => {
    const old = arms.find(({ name }) => name === source.name)
    const share = source.weight / total
    const checked = await readPolicy(source.path)
    if (old && old.version.hash === checked.source.hash) {
      // the routers beside it may be others by now
      assertFits(checked, options)
      return old
    }
    const version = await PolicyVersion.open(checked, options)
    try {
      await hooks?.admit?.(candidateOf(source, version, old), why)
    } catch (error) {
      await version.retire()
      throw error
    }
    return { ...source, share, version }
  }

  const load = async (why: string): Promise<readonly PolicyStatus[]> => {
    const before = arms
    const staged: Arm[] = []
    for (const source of sources) {
      try {
        staged.push(await stage(source, why))
      } catch (thrown) {
        for (const arm of staged) if (!before.includes(arm)) await arm.version.retire()
        const error = thrown instanceof Error ? thrown : new Error(String(thrown))
        const { name, path } = source
        await hooks?.onPolicyRefused?.({ name, path, error, at: now(), why })
        throw error
      }
    }
    arms = staged
    for (const arm of staged) {
      if (before.includes(arm)) continue
      const old = before.find(({ name }) => name === arm.name)
      await old?.version.retire()
      await hooks?.onPolicyLoaded?.({ ...candidateOf(arm, arm.version, old), at: now(), why })
    }
    return staged.map((arm) => statusOf(arm, before))
  }

  const inTurn = (why: string): Promise<readonly PolicyStatus[]> => {
    const result = turn.then(() => load(why))
    turn = result.catch(() => {})
    return result
  }

  await inTurn('start')
  return {
    get status() {
      return arms.map((arm) => statusOf(arm, arms))
    },
    get names() {
      const files = arms.map(({ version }) => version.checked.file)
      const routes = files.flatMap(({ routes }) => Object.keys(routes ?? {}))
      const models = files.flatMap(({ models }) => Object.keys(models))
      return [...new Set(['weir', ...routes.map((name) => `weir/${name}`), ...models])]
    },
    reload: inTurn,
    async changed() {
      const found = await Promise.all(
        arms.map(async ({ path, version }) => {
          const text = await readFile(path, 'utf8').catch(() => undefined)
          if (text === version.text) return []
          const hash = text && createHash('sha256').update(text).digest('hex')
          return [`${path} ${hash ?? 'is gone'}`]
        }),
      )
      const waiting = found.flat()
      if (waiting.length === 0 || !hooks?.admission) return waiting
      const admission = await hooks.admission()
      return admission === '' ? waiting : waiting.map((file) => `${file}, admitted by ${admission}`)
    },
    plan: (request, planning) => planOver(arms, request, planning),
    async preview(request, signal, decision) {
      const { name, version } = armOf(arms, request)
      const its = await version.using((policy) => policy.preview(request, signal, decision))
      return { ...its, policy: { name, hash: version.hash } }
    },
    async admits(request, planning) {
      const { name, version } = armOf(arms, request)
      const refusal = await version.using((its) => its.admits(request, planning))
      return refusal && { ...refusal, policy: { name, hash: version.hash } }
    },
    async close() {
      await turn
      for (const { version } of arms) await version.retire()
    },
  }
}

function candidateOf(
  { name, path }: PolicySource,
  { hash, text }: PolicyVersion,
  old: Arm | undefined,
): PolicyCandidate {
  const before = { previousHash: old?.version.hash, previousText: old?.version.text }
  return { name, path, hash, text, ...before }
}

function statusOf({ name, path, share, version }: Arm, before: readonly Arm[]): PolicyStatus {
  const old = before.find((arm) => arm.name === name)?.version.hash
  const replaced = old === undefined || old === version.hash ? {} : { replaced: old }
  return { name, path, hash: version.hash, share, ...replaced }
}
