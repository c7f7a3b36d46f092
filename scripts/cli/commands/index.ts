import type { Command } from 'commander'

/** Every subcommand, in the order `weir --help` lists them; a file each, loaded when the program is built. */
export const COMMANDS: readonly (() => Promise<Command>)[] = [
  async () => (await import('./data/data.ts')).dataCommand(),
  async () => (await import('./train.ts')).trainCommand(),
  async () => (await import('./calibrate.ts')).calibrateCommand(),
  async () => (await import('./calibrate-cascade.ts')).calibrateCascadeCommand(),
  async () => (await import('./onboard.ts')).onboardCommand(),
  async () => (await import('./drift.ts')).driftCommand(),
  async () => (await import('./evaluate.ts')).evaluateCommand(),
  async () => (await import('./check.ts')).checkCommand(),
  async () => (await import('./diff.ts')).diffCommand(),
  async () => (await import('./route.ts')).routeCommand(),
  async () => (await import('./serve.ts')).serveCommand(),
  async () => (await import('./policy.ts')).policyCommand(),
  async () => (await import('./spend.ts')).spendCommand(),
  async () => (await import('./replay.ts')).replayCommand(),
  async () => (await import('./ope.ts')).opeCommand(),
  async () => (await import('./promote.ts')).promoteCommand(),
  async () => (await import('./history.ts')).historyCommand(),
  async () => (await import('./rollback.ts')).rollbackCommand(),
  async () => (await import('./encoder.ts')).encoderCommand(),
]
