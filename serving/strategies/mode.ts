import type { StrategyCall } from '../gateway/strategy.ts'
import type { WholeAnswer } from './chat-answer.ts'

/** A way of making one answer of several. @throws UpstreamError, answers_too_few, answer_unchecked, the signal's reason */
export type Mode = (call: StrategyCall) => Promise<WholeAnswer>
