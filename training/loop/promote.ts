import { cp, readdir, realpath, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { renameInto } from '../../core/files.ts'
import { sideOf } from '../../core/stats/intervals.ts'
import { Z_95 } from '../../core/stats/normal.ts'
import { readBundle } from '../../models/bundle/read.ts'
import { changeServing, finishServingChange } from '../../models/bundle/serving-change.ts'
import { readAnswered } from '../../records/feedback/answered.ts'
import { type HistoryEvent, readHistory, readRollout, recordEvent } from '../../records/rollout.ts'
import { checkGates, type Evidence, type GateResult } from './gates.ts'

export const STAGES = ['shadow', 'canary', 'all'] as const
export type Stage = (typeof STAGES)[number]

export interface PromoteOptions extends Evidence {
  /** by default the stage after its current one */
  readonly to?: Stage
  /** share of the sessions that a canary answers */
  readonly share?: number
  /** skips the intermediate stages */
  readonly atOnce?: boolean
  readonly now?: Date
  /** public keys of which one must have signed the candidate */
  readonly signers?: readonly string[] | undefined
}

export interface Promotion {
  readonly stage: Stage
  readonly version: string
  readonly serving: string
  readonly gates: readonly GateResult[]
}

const DEFAULT_SHARE = 0.05
const LEAST_CANARY = 30

/**
 * Promotes a candidate by one stage once it passes every gate; each step, including a refusal, is recorded in
 * the serving bundle's folder.
 *
 * @param home the serving bundle's NAME folder
 * @throws promotion_refused, and the errors of reading bundles and evidence
 */
export async function promote(
  candidate: string,
  home: string,
  options: PromoteOptions,
): Promise<Promotion> {
  const time = (options.now ?? new Date()).toISOString()
  const { signers } = options
  const { manifest, path } = await readBundle(candidate, { signers })
  const { version } = manifest
  await finishServingChange(home)
  const serving = basename(await realpath(join(home, 'current')))
  const refuse = async (reason: string, gates?: readonly GateResult[]): Promise<never> => {
    const event = { time, event: 'refused', version, serving, reason } as const
    await recordEvent(home, gates ? { ...event, gates: [...gates] } : event)
    throw new WeirError('promotion_refused', { candidate: `${manifest.name} ${version}`, reason })
  }
  if (version === serving) return refuse('it serves already')
  const rollout = await readRollout(home)
  const at = rollout?.version === version ? STAGES.indexOf(rollout.stage) : -1
  const stage = options.to ?? STAGES[at + 1]!
  if (STAGES.indexOf(stage) > at + 1 && !options.atOnce) {
    return refuse(
      `it is ${at < 0 ? 'at no stage' : `at ${STAGES[at]}`} yet; ${STAGES[at + 1]} comes before ${stage}`,
    )
  }
  if (!options.outcomes && !options.log) {
    return refuse('nothing shows that it is better: give held-out outcomes or a decision log')
  }
  const gates = await checkGates(path, home, options)
  if (stage === 'all' && at === 1 && options.log)
    gates.push(await canaryHolds(options.log, version, serving, options))
  const failed = gates.filter(({ passed }) => !passed)
  if (failed.length > 0) {
    return refuse(failed.map(({ gate, found }) => `${gate}: ${found}`).join('; '), gates)
  }
  await copyVersion(path, home, version, signers)
  const share = options.share ?? DEFAULT_SHARE
  const shared = stage === 'canary' ? { share } : {}
  await changeServing(home, {
    event: { time, event: stage, version, serving, gates: [...gates], ...shared },
    ...(stage === 'all' ? { current: version } : { rollout: { version, stage, ...shared } }),
  })
  return { stage, version, serving, gates }
}

/**
 * Removes the candidate that is being rolled out; if there is none, the previously serving version serves
 * again.
 *
 * @throws history_missing, version_unknown
 */
export async function rollBack(
  home: string,
  options: {
    readonly version?: string
    readonly reason?: string
    readonly now?: Date
    /** public keys of which one must have signed the version */
    readonly signers?: readonly string[] | undefined
  } = {},
): Promise<{ readonly from: string; readonly to: string; readonly stage: Stage }> {
  await finishServingChange(home)
  const serving = basename(await realpath(join(home, 'current')))
  const rollout = await readRollout(home)
  const event = (version: string): HistoryEvent => ({
    time: (options.now ?? new Date()).toISOString(),
    event: 'rollback',
    version,
    serving,
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  })
  if (rollout && options.version === undefined) {
    await changeServing(home, { event: event(serving) })
    return { from: rollout.version, to: serving, stage: rollout.stage }
  }
  const history = await readHistory(home)
  const last = history.findLast((one) => one.event === 'all' && one.version === serving)
  const version = options.version ?? last?.serving
  if (version === undefined) throw new WeirError('history_missing', { path: home })
  const known = (await readdir(home)).filter((name) => /^[0-9a-f]{16}$/.test(name))
  if (!known.includes(version)) {
    throw new WeirError('version_unknown', { router: basename(resolve(home)), version, known })
  }
  await readBundle(join(home, version), { signers: options.signers })
  await changeServing(home, { event: event(version), current: version })
  return { from: serving, to: version, stage: 'all' }
}

/** Compares the canary's outcomes with those of the serving version: they must not be clearly worse. */
async function canaryHolds(
  log: string,
  version: string,
  serving: string,
  { feedback, keyShare, signal }: Evidence,
): Promise<GateResult> {
  const { answered } = await readAnswered(log, signal, feedback?.(), keyShare)
  const of = (wanted: string) => {
    const scores = answered
      .filter(({ decision }) => decision.version === wanted)
      .map((one) => one.score)
    const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length
    const squares = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0)
    return { n: scores.length, mean, variance: squares / scores.length ** 2 }
  }
  const [mine, its] = [of(version), of(serving)]
  const gate = 'canary'
  if (mine.n < LEAST_CANARY || its.n < LEAST_CANARY) {
    const found = `${mine.n} outcomes of the canary and ${its.n} of the serving version (at least ${LEAST_CANARY} each)`
    return { gate, passed: false, found }
  }
  const difference = mine.mean - its.mean
  const margin = Z_95 * Math.sqrt(mine.variance + its.variance)
  const interval = { low: difference - margin, high: difference + margin }
  const side = sideOf(interval)
  const said = {
    above: 'better than the serving version',
    below: 'worse than the serving version',
    open: 'not told apart from the serving version',
  }[side]
  const bounds = `${interval.low.toFixed(3)} to ${interval.high.toFixed(3)}`
  const found = `${said}: mean score ${mine.mean.toFixed(3)} on ${mine.n} outcomes, ${its.mean.toFixed(3)} on ${its.n} (a difference of ${difference.toFixed(3)}, ${bounds})`
  return { gate, passed: side !== 'below', found }
}

/** Copies a version beside the serving one, atomically. */
async function copyVersion(
  path: string,
  home: string,
  version: string,
  signers: PromoteOptions['signers'],
): Promise<void> {
  const target = join(resolve(home), version)
  if (!(await stat(target).catch(() => undefined))) {
    await renameInto(target, (partial) => cp(path, partial, { recursive: true }))
  }
  await readBundle(target, { signers })
}
