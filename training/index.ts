/** From datasets to bundles: train, calibrate, evaluate. */
export type { CalibrateResult } from './calibrate/calibrate.ts'
export type { Method } from './calibrate/method.ts'
export { registerMethod } from './calibrate/methods/registry.ts'
export type { Target } from './calibrate/target.ts'
export type { RuleRequest } from './default-rule.ts'
export type { Evaluation, FrontierReports } from './evaluate/evaluate.ts'
export type { EvaluationReport } from './evaluate/report/report.ts'
export {
  type CalibrateOptions,
  calibrate,
  type EvaluateOptions,
  evaluate,
  type Prices,
  type SeveralModels,
  type TrainOptions,
  type TrainSettings,
  type TwoModels,
  train,
  type WorkOptions,
} from './library.ts'
export type { TrainResult } from './train.ts'
export { registerTrainer } from './trainers/registry.ts'
export type { Trainer, TrainerResult } from './trainers/trainer.ts'
