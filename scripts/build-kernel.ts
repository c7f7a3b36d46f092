import { readFileSync, writeFileSync } from 'node:fs'
import { kernelModule } from './kernel-module.ts'

/** `npm run build:kernel`: assembles the solver's WebAssembly; a test checks that it was run. */
const folder = new URL('../training/solver/', import.meta.url)
const source = readFileSync(new URL('logistic-kernel.wat', folder), 'utf8')
writeFileSync(new URL('logistic-kernel.ts', folder), await kernelModule(source))
