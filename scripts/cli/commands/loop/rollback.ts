import { definedOnly } from '../../../../core/defined.ts'
import { openTerminal } from '../../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, signersOf } from '../../bundle-access.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption, LOCK_OPTION, withRouterLock } from '../../log-options.ts'
import { type Flags, optionTable, Text } from '../../options.ts'

const OPTIONS = optionTable({
  to: {
    flag: '--to <version>',
    schema: Text,
    help: 'the kept version to go back to',
    unset: 'the one that served before',
  },
  online: {
    flag: '--online <folder>',
    schema: Text,
    help: 'take back the newest state of the online head in this folder instead',
  },
  reason: { flag: '--reason <text>', schema: Text, help: 'the reason, kept in the history' },
  lock: LOCK_OPTION,
  requireSignature: BUNDLE_OPTIONS.requireSignature,
  json: jsonOption('the result'),
})
type RollbackFlags = Flags<typeof OPTIONS>

/** `weir rollback <bundle>`: ends the current shadow or canary, or reverts the last promotion. */
export const rollbackCommand = defineCommand({
  name: 'rollback',
  description: 'end a shadow or canary, or take back the last promotion',
  arguments: [['<bundle>', 'the NAME folder, such as bundles/demo']],
  options: OPTIONS,
  examples: ['weir rollback bundles/demo --reason "more complaints"'],
  run,
})

async function run(home: string, flags: RollbackFlags): Promise<void> {
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  await withRouterLock(flags.lock, home, interruptSignal(), () => rolledBack(home, flags))
}

async function rolledBack(home: string, flags: RollbackFlags): Promise<void> {
  if (flags.online !== undefined) {
    await takeBackState(home, flags.online, flags)
    return
  }
  const { rollBack } = await import('../../../../training/loop/promote.ts')
  const terminal = openTerminal()
  const { from, to, stage } = await rollBack(
    home,
    definedOnly({ version: flags.to, reason: flags.reason, signers: signersOf(flags) }),
  )
  if (flags.json) terminal.json({ from, to, stage })
  else if (stage === 'all') terminal.print(`${to} serves again, in place of ${from}`)
  else terminal.print(`${from} is no ${stage} any more; ${to} serves`)
}

async function takeBackState(home: string, folder: string, flags: RollbackFlags): Promise<void> {
  const { WeirError } = await import('../../../../core/errors.ts')
  if (flags.to !== undefined) {
    const expected = 'none beside --online'
    throw new WeirError('option_invalid', { option: '--to', expected, got: flags.to })
  }
  const { takeBackOnline } = await import('../../../../training/loop/online-state.ts')
  const terminal = openTerminal()
  const { version, from, to } = await takeBackOnline(
    home,
    folder,
    definedOnly({ reason: flags.reason }),
  )
  if (flags.json) terminal.json({ version, from, to })
  else {
    const now = to === 0 ? 'the router itself' : `state ${to}`
    terminal.print(`${version} goes on from ${now}; state ${from} of its online head is gone`)
  }
}
