import type { Command } from 'commander'

/** Every subcommand by name, in the order `weir --help` lists them; each file is loaded on demand. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  data: async () => (await import('./data/data.ts')).dataCommand(),
  collect: async () => (await import('./collect.ts')).collectCommand(),
  grade: async () => (await import('./grade.ts')).gradeCommand(),
  label: async () => (await import('./label.ts')).labelCommand(),
  train: async () => (await import('./train.ts')).trainCommand(),
  calibrate: async () => (await import('./calibrate.ts')).calibrateCommand(),
  'calibrate-cascade': async () =>
    (await import('./calibrate-cascade.ts')).calibrateCascadeCommand(),
  onboard: async () => (await import('./onboard.ts')).onboardCommand(),
  drift: async () => (await import('./drift.ts')).driftCommand(),
  evaluate: async () => (await import('./evaluate.ts')).evaluateCommand(),
  check: async () => (await import('./check.ts')).checkCommand(),
  diff: async () => (await import('./diff.ts')).diffCommand(),
  route: async () => (await import('./route.ts')).routeCommand(),
  init: async () => (await import('./init.ts')).initCommand(),
  serve: async () => (await import('./serve.ts')).serveCommand(),
  policy: async () => (await import('./policy.ts')).policyCommand(),
  spend: async () => (await import('./spend.ts')).spendCommand(),
  forget: async () => (await import('./forget.ts')).forgetCommand(),
  replay: async () => (await import('./replay.ts')).replayCommand(),
  learn: async () => (await import('./learn.ts')).learnCommand(),
  ope: async () => (await import('./ope.ts')).opeCommand(),
  sign: async () => (await import('./sign.ts')).signCommand(),
  promote: async () => (await import('./promote.ts')).promoteCommand(),
  history: async () => (await import('./history.ts')).historyCommand(),
  rollback: async () => (await import('./rollback.ts')).rollbackCommand(),
  encoder: async () => (await import('./encoder.ts')).encoderCommand(),
}
