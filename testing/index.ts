/**
 * The suites that every family, encoder, reader, policy step, strategy, kind of upstream, calibration method and
 * feedback store passes, to run on your own. They use vitest, an optional peer of the package: call them at the top of a test file.
 */
export { describeBoundTest, type Edge } from './bound-contract.ts'
export { describeEncoderContract, type EncoderContractOptions } from './encoder-contract.ts'
export { describeFamilyContract, type FamilyCase, randomEmbeddings } from './family-contract.ts'
export { storeContract as describeFeedbackStoreContract } from './feedback-store-contract.ts'
export { describeMethod as describeMethodContract } from './method-contract.ts'
export { checkReader, type ReaderCase } from './reader-contract.ts'
export { describeStepContract, type StepCase } from './step-contract.ts'
export { describeStrategyContract, type StrategyCase } from './strategy-contract.ts'
export { describeUpstreamContract, type UpstreamCase } from './upstream-contract.ts'
