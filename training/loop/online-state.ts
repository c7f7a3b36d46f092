import { realpath } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { newestBandit, revertBandit } from '../../models/online/bandit-file.ts'
import { recordEvent } from '../../records/rollout.ts'

/**
 * Rolls the serving version's online head back to the newest stored state; a running server follows.
 *
 * @param home the bundle's NAME folder
 * @param folder `online.folder` of the server's configuration
 * @throws history_missing if no state is stored
 */
export async function takeBackOnline(
  home: string,
  folder: string,
  options: { readonly reason?: string; readonly now?: Date } = {},
): Promise<{ readonly version: string; readonly from: number; readonly to: number }> {
  const version = basename(await realpath(join(home, 'current')))
  const states = join(folder, basename(resolve(home)), version)
  const from = await revertBandit(states)
  if (from === undefined) throw new WeirError('history_missing', { path: states })
  const to = await newestBandit(states)
  const step = `online state ${from} to ${to === 0 ? 'none' : to}`
  await recordEvent(home, {
    time: (options.now ?? new Date()).toISOString(),
    event: 'rollback',
    version,
    serving: version,
    reason: options.reason === undefined ? step : `${step}: ${options.reason}`,
  })
  return { version, from, to }
}
