import type { Command } from 'commander'

/** Every subcommand, in the order `weir --help` lists them; a file each, loaded when the program is built. */
export const COMMANDS: readonly (() => Promise<Command>)[] = [
  async () => (await import('./commands/data.ts')).dataCommand(),
  async () => (await import('./commands/train.ts')).trainCommand(),
  async () => (await import('./commands/calibrate.ts')).calibrateCommand(),
  async () => (await import('./commands/calibrate-cascade.ts')).calibrateCascadeCommand(),
  async () => (await import('./commands/onboard.ts')).onboardCommand(),
  async () => (await import('./commands/drift.ts')).driftCommand(),
  async () => (await import('./commands/evaluate.ts')).evaluateCommand(),
  async () => (await import('./commands/check.ts')).checkCommand(),
  async () => (await import('./commands/diff.ts')).diffCommand(),
  async () => (await import('./commands/route.ts')).routeCommand(),
  async () => (await import('./commands/serve.ts')).serveCommand(),
  async () => (await import('./commands/policy.ts')).policyCommand(),
  async () => (await import('./commands/spend.ts')).spendCommand(),
  async () => (await import('./commands/replay.ts')).replayCommand(),
  async () => (await import('./commands/ope.ts')).opeCommand(),
  async () => (await import('./commands/promote.ts')).promoteCommand(),
  async () => (await import('./commands/history.ts')).historyCommand(),
  async () => (await import('./commands/rollback.ts')).rollbackCommand(),
  async () => (await import('./commands/encoder.ts')).encoderCommand(),
]
