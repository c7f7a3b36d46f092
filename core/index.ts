/** What every layer's public functions take and throw. */
export { type ErrorCode, WeirError } from './errors.ts'
export type { OnProgress, Progress } from './progress.ts'
