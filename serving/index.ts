/** A server to embed in a program. */
export type { AddedStep } from './policy/registry.ts'
export type { ServeConfig } from './server/config.ts'
export { type RunningServer, type RunOptions, runServer } from './server/run-server.ts'
export type { ServiceOptions } from './server/services.ts'
export type { StrategyKind } from './strategies/settings.ts'
export { registerStrategy } from './strategies/strategies.ts'
export { defineUpstreamKind, type UpstreamContext, type UpstreamKind } from './upstreams/kinds.ts'
