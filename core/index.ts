/** Types and errors shared by the public functions of every layer. */
export { type ErrorCode, WeirError } from './errors.ts'
export type { OnProgress, Progress } from './progress.ts'
