import type { Command } from 'commander'
import { WeirError } from '../models/errors.ts'
import { AUTO } from '../training/auto.ts'
import { keyValue } from './key-value.ts'
import { checkConfigSettings, readTrainConfig, withConfig } from './train-config.ts'
import type { TrainFlags } from './train-flags.ts'

/** Flags and logs with the config file's under them. */
export async function configured(
  named: readonly string[],
  given: TrainFlags,
  command: Command,
): Promise<{ logs: readonly string[]; flags: TrainFlags }> {
  if (given.config === undefined) return { logs: named, flags: given }
  const read = await readTrainConfig(given.config)
  const flags = withConfig(given, read, (flag) => command.getOptionValueSource(flag) === 'cli')
  if (flags.router !== AUTO) await checkConfigSettings(read, flags.router)
  return { logs: named.length > 0 ? named : (read.config.logs ?? []), flags }
}

const missing = (option: string, expected: string): WeirError =>
  new WeirError('option_invalid', { option, expected, got: 'nothing' })

export function requireLogs(logs: readonly string[]): void {
  if (logs.length === 0) throw missing('logs', 'log files, or one dataset folder')
}

export function requiredPair(
  { strong, weak }: TrainFlags,
  logs: readonly string[],
): { strong: string; weak: string } {
  if (strong === undefined) {
    throw missing('--strong', 'the model that costs more and is better on average')
  }
  if (weak === undefined) throw missing('--weak', 'the model that would answer the rest')
  requireLogs(logs)
  return { strong, weak }
}

/** A value that reads as a number is one; the family's schema says which it wants. */
export function settingsOption(pairs: readonly string[]): Record<string, number | string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [key, value] = keyValue('--set', pair)
      const number = value.trim() === '' ? Number.NaN : Number(value)
      return [key, Number.isNaN(number) ? value : number]
    }),
  )
}
