/** The package's main export: train, calibrate and evaluate routers, and load them. */
export * from './core/index.ts'
export * from './data/index.ts'
export * from './models/index.ts'
export * from './training/index.ts'
