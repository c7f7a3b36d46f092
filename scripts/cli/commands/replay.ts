import Type from 'typebox'
import type { PolicyReplay } from '../../replay/policy.ts'
import type { MeasuredSettings } from '../../replay/sessions.ts'
import { count, openTerminal, type Terminal, table } from '../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, openRouter } from '../bundle-access.ts'
import { defineCommand } from '../command.ts'
import { jsonOption, PRICE_OPTION } from '../log-options.ts'
import { type Flags, optionTable, Share, Switch, Text } from '../options.ts'

const OPTIONS = optionTable({
  threshold: { flag: '--threshold <number>', schema: Share, help: 'the threshold to try' },
  policy: {
    flag: '--policy <file>',
    schema: Text,
    help: 'the policy file to try on every chat and decision',
  },
  bundle: {
    flag: '--bundle <folder>',
    schema: Text,
    help: 'with --policy: score with this router instead of the logged one; needs the log’s text',
  },
  sessions: {
    flag: '--sessions',
    schema: Switch,
    help: 'what sessions cost and waited, with the providers’ caches modelled; needs --price',
  },
  cacheMinutes: {
    flag: '--cache-minutes <minutes>',
    schema: Type.Number({ minimum: 0 }),
    help: 'with --sessions: how long providers keep a prompt; 0: not at all (default: the policy’s, else 5)',
  },
  writePolicy: {
    flag: '--write-policy <file>',
    schema: Text,
    writes: 'file',
    help: 'with --sessions and --policy: write the policy with the switch_loss and stuck that the log shows',
  },
  price: PRICE_OPTION,
  ...BUNDLE_OPTIONS,
  json: jsonOption('the result'),
})
type ReplayFlags = Flags<typeof OPTIONS>

/** `weir replay <decision-log>`: what another threshold or policy would have changed, in routes and dollars. */
export const replayCommand = defineCommand({
  name: 'replay',
  description: 'show what another threshold or policy would have changed in a decision log',
  arguments: [['<decision-log>', 'folder or file that weir serve --log wrote']],
  options: OPTIONS,
  examples: [
    'weir replay logs --threshold 0.4',
    'weir replay logs --policy new.yaml --threshold 0.4',
    'weir replay logs --sessions --policy new.yaml --price prices.json',
    'weir replay logs --sessions --policy policy.yaml --price prices.json --write-policy measured.yaml',
  ],
  run,
})

async function run(path: string, options: ReplayFlags): Promise<void> {
  const { WeirError } = await import('../../../core/errors.ts')
  const { threshold } = options
  if (options.writePolicy !== undefined && !(options.sessions && options.policy !== undefined)) {
    const expected = '--sessions and --policy, whose text it starts from'
    throw new WeirError('option_invalid', { option: '--write-policy', expected, got: 'not both' })
  }
  if (options.policy !== undefined) {
    await runPolicy(path, options.policy, threshold, options)
    return
  }
  if (options.sessions) {
    await runSessions(path, options)
    return
  }
  if (threshold === undefined) {
    const expected = '--threshold or --policy'
    throw new WeirError('option_invalid', { option: '--threshold', expected, got: 'neither' })
  }
  await runThreshold(path, threshold, options)
}

async function runThreshold(path: string, threshold: number, options: ReplayFlags): Promise<void> {
  const { readDecisionLog } = await import('../../../records/log-reader.ts')
  const { replay } = await import('../../replay/replay.ts')
  const terminal = openTerminal()
  const result = await replay(readDecisionLog(path), threshold)
  if (options.json) {
    terminal.json(result)
    return
  }
  const { before, after, usdBefore, usdAfter } = result
  const models = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  terminal.print(
    table([
      ['model', 'before', 'after'],
      ...models.map((model) => [model, count(before[model] ?? 0), count(after[model] ?? 0)]),
    ]),
  )
  terminal.print(`${count(result.changed)} of ${count(result.decisions)} decisions change`)
  if (result.untouched > 0) terminal.note(`${count(result.untouched)} have no win rate to replay`)
  if (usdBefore === undefined || usdAfter === undefined) {
    terminal.note('no dollars: the log has no cost_usd for some of these models')
  } else terminal.print(`$${usdBefore.toFixed(4)} before, $${usdAfter.toFixed(4)} after`)
}

async function runPolicy(
  path: string,
  policyPath: string,
  threshold: number | undefined,
  options: ReplayFlags,
): Promise<void> {
  const { readPolicy } = await import('../../../serving/policy/live-policies.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { priceOption } = await import('../log-options.ts')
  const { replayPolicy } = await import('../../replay/policy.ts')
  const { assertLogHolds } = await import('../../replay/needs.ts')
  const { readRequests } = await import('../../replay/rows.ts')
  const { withTextReaders } = await import('../../replay/router.ts')
  const terminal = openTerminal()
  const signal = interruptSignal()
  const checked = await readPolicy(policyPath)
  const policy =
    threshold === undefined || !checked.file.learned
      ? checked
      : { ...checked, file: { ...checked.file, learned: { ...checked.file.learned, threshold } } }
  const prices = await priceOption(options.price)
  const log = await readRequests(path, signal)
  // check before opening an encoder or a bundle
  assertLogHolds(policy, log, path)
  const progress = (stage: string) => (done: number, total: number) =>
    terminal.onProgress({ stage, done, total })
  const scores = await scoresOf(path, log, options, signal, progress('scoring'))
  const planned = new Map<string, string | undefined>()
  const result = await withTextReaders(policy, (readers) =>
    replayPolicy(log, policy, {
      path,
      scores,
      prices,
      signal,
      onProgress: progress('replaying'),
      onPlanned: ({ id }, to) => planned.set(id, to),
      readers,
    }),
  )
  terminal.endProgress()
  if (options.sessions) {
    const { sessions } = checked.file as { sessions?: { cache_minutes?: number } }
    await printSessions(path, log, options, {
      planned,
      minutes: sessions?.cache_minutes,
      policyText: checked.source.text,
    })
    return
  }
  if (options.json) terminal.json({ ...result, log: log.stats })
  else printReplay(terminal, result)
}

/** The sessions of the log as they were. */
async function runSessions(path: string, options: ReplayFlags): Promise<void> {
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { readRequests } = await import('../../replay/rows.ts')
  await printSessions(path, await readRequests(path, interruptSignal()), options, {})
}

/** The policy of `--sessions`, if one is given. */
interface SessionsPolicy {
  readonly planned?: ReadonlyMap<string, string | undefined>
  readonly minutes?: number | undefined
  readonly policyText?: string
}

async function printSessions(
  path: string,
  log: Awaited<ReturnType<typeof import('../../replay/rows.ts').readRequests>>,
  options: ReplayFlags,
  { planned, minutes, policyText }: SessionsPolicy,
): Promise<void> {
  const { WeirError } = await import('../../../core/errors.ts')
  const { priceOption } = await import('../log-options.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { measuredSettings, replaySessions } = await import('../../replay/sessions.ts')
  const terminal = openTerminal()
  const prices = await priceOption(options.price)
  const cacheMinutes = options.cacheMinutes ?? minutes ?? 5
  const result = await replaySessions(log, {
    prices,
    cacheMinutes,
    planned,
    signal: interruptSignal(),
    onProgress: (done, total) => terminal.onProgress({ stage: 'resampling sessions', done, total }),
  })
  terminal.endProgress()
  const settings = measuredSettings(result.measured)
  const written =
    options.writePolicy !== undefined &&
    policyText !== undefined &&
    (await writeMeasured(policyText, options.writePolicy, settings))
  if (options.json) {
    terminal.json({
      ...result,
      settings,
      ...(written && { written: options.writePolicy }),
      log: log.stats,
    })
    return
  }
  const { sessions, turns, unnamed, unpriced, billed, before, after, saved } = result
  if (turns === 0) {
    const what = `no turn in ${path} has an answer with token counts and a model whose price is known`
    throw new WeirError('option_invalid', {
      option: '--price',
      expected: 'prices of the models that answered',
      got: what,
    })
  }
  const columns = after ? [before, after] : [before]
  const models = [...new Set(columns.flatMap((one) => Object.keys(one.models)))].sort()
  const row = (name: string, of: (figures: typeof before) => string): string[] => [
    name,
    ...columns.map(of),
  ]
  terminal.print(
    `${count(sessions)} sessions, ${count(turns)} turns${billed === undefined ? '' : `; billed: $${billed.toFixed(4)}`}`,
  )
  terminal.print(
    table([
      ['', 'as logged', ...(after ? ['with the policy'] : [])],
      row('dollars, caches modelled', ({ dollars }) => `$${dollars.toFixed(4)}`),
      row('of prompts read from a cache', ({ cached }) => `${(100 * cached).toFixed(1)}%`),
      row('changes of the model', ({ switches }) => count(switches)),
      row('seconds waited', ({ seconds }) => count(Math.round(seconds))),
      ...models.map((model) => row(`turns of ${model}`, (one) => count(one.models[model] ?? 0))),
    ]),
  )
  const percent = (share: number): string => `${(100 * share).toFixed(1)}%`
  if (saved) {
    const { value, low, high } = saved
    terminal.print(`saved: ${percent(value)} [${percent(low)}, ${percent(high)}] of the dollars`)
  }
  const { switchLoss, stuck } = result.measured
  const measured = [
    ...(switchLoss ? [['switch_loss', switchLoss] as const] : []),
    ...Object.entries(stuck).map(([sign, gain]) => [`stuck.${sign}`, gain] as const),
  ]
  for (const [name, { value, low, high, n }] of measured) {
    terminal.print(
      `${name}: ${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}] by ${count(n[0])} and ${count(n[1])} ratings`,
    )
  }
  if (measured.length === 0) {
    terminal.note('too few ratings of turns to measure switch_loss and stuck')
  } else {
    terminal.note(
      'measured on what happened, not at random: sessions that switch or get stuck may be harder',
    )
  }
  if (Object.keys(settings).length > 0) {
    const { yamlText } = await import('../../../core/yaml-source.ts')
    terminal.print(`for the policy (--write-policy sets it):\n${yamlText({ sessions: settings })}`)
  }
  if (written) terminal.print(`Written: ${options.writePolicy}`)
  else if (options.writePolicy !== undefined) {
    terminal.note(
      `nothing was measured well enough to be set: ${options.writePolicy} is not written`,
    )
  }
  if (unnamed > 0) terminal.note(`${count(unnamed)} requests name no session: each counts as one`)
  if (unpriced > 0)
    terminal.note(`${count(unpriced)} turns of models without a --price are left out`)
  for (const assumption of result.assumptions) terminal.note(`assumed: ${assumption}`)
}

/** Writes the policy with what was measured; false if that is nothing. @throws config_invalid, file_unwritable */
async function writeMeasured(
  policyText: string,
  path: string,
  settings: MeasuredSettings,
): Promise<boolean> {
  const { changedYaml } = await import('../../../core/yaml-source.ts')
  const { writeWhole } = await import('../../../core/files.ts')
  const { checkPolicy } = await import('../../../serving/policy/check.ts')
  const { switch_loss: loss, stuck = {} } = settings
  const changes = [
    ...(loss === undefined ? [] : [[['sessions', 'switch_loss'], loss] as const]),
    ...Object.entries(stuck).map(([sign, gain]) => [['sessions', 'stuck', sign], gain] as const),
  ]
  if (changes.length === 0) return false
  const text = changedYaml(policyText, changes)
  checkPolicy(text, path)
  await writeWhole(path, text)
  return true
}

async function scoresOf(
  path: string,
  log: Awaited<ReturnType<typeof import('../../replay/rows.ts').readRequests>>,
  options: ReplayFlags,
  signal: AbortSignal,
  onProgress: (done: number, total: number) => void,
) {
  const { bundleScores, loggedScores } = await import('../../replay/router.ts')
  const { bundle } = options
  if (bundle === undefined) return loggedScores(log.requests)
  const router = await openRouter(bundle, options)
  try {
    return await bundleScores(log.requests, router, { path, text: log.text, signal, onProgress })
  } finally {
    await router.close()
  }
}

function printReplay(terminal: Terminal, result: PolicyReplay): void {
  const { requests, changed, unknown, unnamed, matrix, steps, dollars } = result
  const targets = [...new Set(Object.values(matrix).flatMap((row) => Object.keys(row)))].sort()
  terminal.print(
    table([
      ['before \\ after', ...targets],
      ...Object.entries(matrix).map(([from, row]) => [
        from,
        ...targets.map((to) => (row[to] === undefined ? '' : count(row[to]))),
      ]),
    ]),
  )
  terminal.print('')
  terminal.print(
    table([
      ['step', 'before', 'after'],
      ...Object.entries(steps).map(([step, { before, after }]) => [
        step,
        count(before),
        count(after),
      ]),
    ]),
  )
  terminal.print(`\n${count(changed)} of ${count(requests)} requests change`)
  if (unknown > 0) {
    terminal.note(
      `${count(unknown)} depend on a win rate or a model’s answer that the log does not have, and are counted as unchanged; --bundle scores those whose text was logged`,
    )
  }
  if (unnamed > 0) {
    terminal.note(
      `${count(unnamed)} asked for a model that the policy does not know: counted as unchanged`,
    )
  }
  const { priced, before, after, assumptions } = dollars
  if (priced === 0) terminal.note('no dollars: neither the log nor --price says what models cost')
  else {
    terminal.print(
      `$${before.toFixed(4)} before, $${after.toFixed(4)} after, on the ${count(priced)} requests whose cost is known`,
    )
    for (const assumption of assumptions) terminal.note(`assumed of ${assumption}`)
  }
}
